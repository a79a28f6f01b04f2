// Simulation model of Xilinx' LUT2: the bit of INIT that the inputs choose.
module LUT2 #(
    parameter [3:0] INIT = 4'd0
) (
    output O,
    input  I0, I1
);
    wire [1:0] select_1 = I1 ? INIT[3:2] : INIT[1:0];
    assign O = I0 ? select_1[1] : select_1[0];
endmodule
