// Simulation model of Xilinx' LUT4: the bit of INIT that the inputs choose.
module LUT4 #(
    parameter [15:0] INIT = 16'd0
) (
    output O,
    input  I0, I1, I2, I3
);
    wire [7:0] select_3 = I3 ? INIT[15:8] : INIT[7:0];
    wire [3:0] select_2 = I2 ? select_3[7:4] : select_3[3:0];
    wire [1:0] select_1 = I1 ? select_2[3:2] : select_2[1:0];
    assign O = I0 ? select_1[1] : select_1[0];
endmodule
