// Ports of every width at which Verilator changes its C++ type, each with registered and unregistered results.
`default_nettype none

module bridge (
    input  wire         clock,
    input  wire         reset,
    input  wire [1:0]   end_how,
    input  wire         a1,
    input  wire [6:0]   a7,
    input  wire [31:0]  a32,
    input  wire [32:0]  a33,
    input  wire [63:0]  a64,
    input  wire [64:0]  a65,
    input  wire [129:0] a130,
    output reg          sum1,
    output reg  [6:0]   sum7,
    output reg  [31:0]  sum32,
    output reg  [32:0]  sum33,
    output reg  [63:0]  sum64,
    output reg  [64:0]  sum65,
    output reg  [129:0] sum130,
    output wire [129:0] inverse
);

    assign inverse = ~a130;

    always @(posedge clock) begin
        if (reset) begin
            sum1   <= 1'd0;
            sum7   <= 7'd0;
            sum32  <= 32'd0;
            sum33  <= 33'd0;
            sum64  <= 64'd0;
            sum65  <= 65'd0;
            sum130 <= 130'd0;
        end else begin
            sum1   <= sum1 + a1;
            sum7   <= sum7 + a7;
            sum32  <= sum32 + a32;
            sum33  <= sum33 + a33;
            sum64  <= sum64 + a64;
            sum65  <= sum65 + a65;
            sum130 <= sum130 + a130;
        end
        if (end_how == 2'd1) begin
            $display("end by stop");
            $stop;
        end
        if (end_how == 2'd2)
            $finish;
    end

endmodule

`default_nettype wire
