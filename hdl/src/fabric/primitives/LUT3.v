// Simulation model of Xilinx' LUT3: the bit of INIT that the inputs choose.
module LUT3 #(
    parameter [7:0] INIT = 8'd0
) (
    output O,
    input  I0, I1, I2
);
    wire [3:0] select_2 = I2 ? INIT[7:4] : INIT[3:0];
    wire [1:0] select_1 = I1 ? select_2[3:2] : select_2[1:0];
    assign O = I0 ? select_1[1] : select_1[0];
endmodule
