// Simulation model of Xilinx' LUT2: the bit of INIT that the inputs choose.
module LUT2 #(
    parameter [3:0] INIT = 4'd0
) (
    output O,
    input  I0, I1
);
    assign O = INIT[{I1, I0}];
endmodule
