// Simulation model of Xilinx' LUT1: the bit of INIT that the inputs choose.
module LUT1 #(
    parameter [1:0] INIT = 2'd0
) (
    output O,
    input  I0
);
    assign O = I0 ? INIT[1] : INIT[0];
endmodule
