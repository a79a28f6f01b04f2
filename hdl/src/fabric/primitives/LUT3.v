// Simulation model of Xilinx' LUT3: the bit of INIT that the inputs choose.
module LUT3 #(
    parameter [7:0] INIT = 8'd0
) (
    output O,
    input  I0, I1, I2
);
    assign O = INIT[{I2, I1, I0}];
endmodule
