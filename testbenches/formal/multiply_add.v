// The affine step: two cycles after a value and a multiplier entered, and one after the addend's cycle, the sum leaves.

`default_nettype none

module multiply_add (
    input wire              clock,
    input wire [`WIDTH-1:0] factor,
    input wire [15:0]       multiplier,
    input wire [`WIDTH+15:0] addend
);
    localparam PRODUCT = `WIDTH + 16;
    wire [PRODUCT-1:0] value;

    `DUT dut (
        .clock      (clock),
        .enable     (1'b1),
        .clear      (1'b0),
        .factor     (factor),
        .multiplier (multiplier),
        .addend     (addend),
        .value      (value)
    );

    // Two's complement numbers of the full width: nothing wraps in the product.
    wire [PRODUCT-1:0] wide_factor     = {{16{factor[`WIDTH-1]}}, factor};
    wire [PRODUCT-1:0] wide_multiplier = {{`WIDTH{multiplier[15]}}, multiplier};
    wire [PRODUCT-1:0] wanted          = wide_factor * wide_multiplier + addend;

    reg [PRODUCT-1:0] wanted_1, wanted_2;
    reg [1:0]         moves;
    initial moves = 2'd0;
    always @(posedge clock) begin
        wanted_1 <= wanted;
        wanted_2 <= wanted_1;
        if (moves != 2'd2) moves <= moves + 2'd1;
    end

    always @* begin
`ifdef WRONG
        if (moves == 2'd2) assert (value == wanted_1);
`else
        if (moves == 2'd2) assert (value == wanted_2);
`endif
    end
endmodule

`default_nettype wire
