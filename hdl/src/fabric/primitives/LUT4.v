// Simulation model of Xilinx' LUT4: the bit of INIT that the inputs choose.
module LUT4 #(
    parameter [15:0] INIT = 16'd0
) (
    output O,
    input  I0, I1, I2, I3
);
    assign O = INIT[{I3, I2, I1, I0}];
endmodule
