// A lane of the epilogue in thresholds mode (MultiThreshold): the code is the number of thresholds that the value reaches,
// counted from the top where the channel falls, then shifted, moved by the offset and clamped.
//
// All parameters are free and are loaded first, as a program does; then values of any sums follow one another. The value is
// `(4 * (sum >> align) - 2 * (row_sum >> align) + constant) >>> result_shift`, plus a residual of the table where it is used.
// Given is what the compiler promises: thresholds rise.

`default_nettype none

module thresholds (
    input wire            clock,
    input wire [`SUM-1:0] sum,
    input wire [`ROW-1:0] row_sum,
    input wire            keep
);
    // Parameters of the channel and of the descriptor.
    (* anyconst *) wire signed [`RESULT-1:0] low, middle, high;
    (* anyconst *) wire [`RESULT-1:0] constant;
    (* anyconst *) wire               falls, two_levels, early, round_even;
    (* anyconst *) wire [`RESULT-1:0] residual;
    (* anyconst *) wire [`ALIGN-1:0]  align;
    (* anyconst *) wire [1:0]         result_shift, shift;
    (* anyconst *) wire [15:0]        offset;
    (* anyconst *) wire [7:0]         code_min, code_max;

    // Cycles 0 to 4 load; values enter from cycle 5 on.
    reg [2:0] load;
    reg [4:0] age;
    initial begin
        load = 3'd0;
        age  = 5'd0;
    end
    always @(posedge clock) begin
        if (load != 3'd5) load <= load + 3'd1;
        else if (age != `STAGES + 1) age <= age + 5'd1;
    end
    reg [`LOAD-1:0] load_value;
    always @* begin
        case (load)
            3'd0: load_value = {falls, constant};
            3'd1: load_value = middle;
            3'd2: load_value = low;
            3'd3: load_value = high;
            default: load_value = residual;
        endcase
    end

    wire [`CODE-1:0] planes;

    `DUT dut (
        .clock           (clock),
        .flow            (1'b1),
        .sum             (sum),
        .keep            (keep),
        .constant        (1'b0),
        .row_sum         (row_sum),
        .residual        ({`CODE{1'b0}}),
        .channel         (2'b00),
        .level_used      ({two_levels, 1'b1}),
        .raw             (1'b0),
        .no_thresholds   (1'b0),
        .no_affine       (1'b1),
        .no_early        (~early),
        .no_late         (1'b1),
        .adds_late       (1'b0),
        .align           (align),
        .result_shift    (result_shift),
        .table_base      (1'b0),
        .shift           ({{(`SHIFT - 2){1'b0}}, shift}),
        .round_even      (round_even),
        .offset          (offset),
        .code_min        (code_min),
        .code_max        (code_max),
        .constant_write  (load == 3'd0),
        .threshold_write ({(load == 3'd2) | (load == 3'd3), load == 3'd1}),
        .affine_write    (1'b0),
        .table_write     (load == 3'd4),
        .load_address    ({1'b0, load == 3'd3}),
        .load_value      (load_value),
        .planes          (planes)
    );

    // The specification.
    wire [`RESULT-1:0] whole     = sum >> align;
    wire [`RESULT-1:0] whole_row = row_sum >> align;
    wire signed [`RESULT-1:0] bracket = (whole << 2) - (whole_row << 1) + constant;
    wire signed [`RESULT-1:0] divided = bracket >>> result_shift;
    wire signed [`RESULT-1:0] value   = divided + (early ? residual : {`RESULT{1'b0}});
    wire [1:0] reached = two_levels ? {1'b0, value >= low} + {1'b0, value >= middle} + {1'b0, value >= high}
                                    : {1'b0, value >= middle};
    wire [1:0] most    = two_levels ? 2'd3 : 2'd1;
`ifdef WRONG
    wire [1:0] counted = reached;
`else
    wire [1:0] counted = falls ? most - reached : reached;
`endif
    wire [5:0] exact   = {counted, 4'd0} >> shift;
    wire [1:0] rounded = {1'b0, (exact[3:0] > 4'd8) | ((exact[3:0] == 4'd8) & exact[4])};
    wire signed [17:0] code = $signed({16'd0, exact[5:4] + (round_even ? rounded : 2'd0)}) + $signed(offset);
    wire [7:0] clamped = code < $signed({10'd0, code_min}) ? code_min
                       : (code > $signed({10'd0, code_max}) ? code_max : code[7:0]);

    reg [`CODE*`STAGES-1:0] line;
    always @(posedge clock) line <= {line, keep ? clamped[`CODE-1:0] : {`CODE{1'b0}}};

    always @* begin
        assume ((low <= middle) & (middle <= high));
        assume (result_shift != 2'd3);
        assume (code_min <= code_max);
        if (age == `STAGES + 1) begin
            assert (planes == line[`CODE*`STAGES-1 -: `CODE]);
        end
    end
endmodule

`default_nettype wire
