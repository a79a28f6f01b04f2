//! What lowering refuses, and how products are cut into passes and cycles.

use xnorforge_hdl::{ArrayConfig, Design};
use xnorforge_sim::{
    BorderClasses, Bound, CycleReport, Encoding, Gemm, GemmError, GemmShape, LowerError, Lowered,
    Operand, Plan, Precision, run,
};

fn tiny() -> Design {
    ArrayConfig::preset("tiny").unwrap().validate().unwrap()
}

fn shape(rows: u64, columns: u64, elements: u64) -> GemmShape {
    GemmShape {
        rows,
        columns,
        elements,
        activation: Precision::new(Encoding::Bipolar, 2),
        weight: Precision::new(Encoding::Signed, 2),
        classes: 1,
    }
}

#[test]
fn tiles_cover_rows_and_columns() {
    let plan = Plan::new(&tiny(), &shape(7, 10, 8)).unwrap();
    assert_eq!(
        (plan.row_tiles(), plan.column_tiles(), plan.tiles()),
        (4, 4, 16)
    );
    assert_eq!(plan.chunks(), 2);
}

#[test]
fn what_does_not_fit_the_design_is_refused_with_the_fix() {
    let design = tiny();
    let refused = |shape: &GemmShape| Plan::new(&design, shape).unwrap_err().to_string();
    let mut wide = shape(1, 1, 1);
    wide.weight.bits = 3;
    assert_eq!(
        refused(&wide),
        "weights have 3 bits, past the design's `weight_bits` = 2; raise `weight_bits` or quantize to fewer bits"
    );
    assert_eq!(
        refused(&shape(1, 1, 65)),
        "the reduction has 65 elements, past the design's `reduction_max` = 64; raise `reduction_max` or split the product"
    );
    let mut bordered = shape(1, 1, 1);
    bordered.classes = 3;
    assert_eq!(
        refused(&bordered),
        "3 border classes need as many constant entries, past the design's `constant_entries` = 2; raise `constant_entries`"
    );
    let mut ternary = shape(1, 1, 1);
    ternary.activation = Precision::new(Encoding::Ternary, 1);
    assert_eq!(
        refused(&ternary),
        "activations: `ternary` of 1 bits does not exist: exactly 2 bits are legal; choose that"
    );
    assert!(matches!(
        Plan::new(&design, &shape(0, 1, 1)),
        Err(LowerError::Gemm(GemmError::Dimension { value: 0, .. }))
    ));
    assert!(Plan::new(&design, &shape(u64::MAX, u64::MAX, 1)).is_err());
}

#[test]
fn a_bias_that_could_leave_the_result_is_refused() {
    let design = tiny();
    // 11 bits of 4 * 3 * 3 * 64 = 2304, and a sign: the bracket holds up to 4095.
    assert_eq!(design.result_width, 13);
    let with_bias = |bias: i64| {
        let gemm = Gemm::random(&shape(3, 1, 64), 1).unwrap();
        gemm.with_bias(vec![bias]).unwrap()
    };
    assert!(Lowered::new(&design, &with_bias(1000)).is_ok());
    for bias in [5000, -5000, i64::MAX, i64::MIN] {
        let gemm = with_bias(bias);
        let refused = Lowered::new(&design, &gemm).unwrap_err();
        assert!(
            matches!(
                refused,
                LowerError::Result {
                    column: 0,
                    limit: 4095,
                    ..
                }
            ),
            "{refused}"
        );
        assert_eq!(run(&design, &gemm).unwrap_err(), refused);
    }
}

#[test]
fn the_largest_bias_that_fits_is_taken() {
    let design = tiny();
    // With `bipolar` weights nothing is divided, and the limit itself is met.
    for encoding in [Encoding::Signed, Encoding::Bipolar] {
        let mut shape = shape(3, 1, 64);
        shape.weight = Precision::new(encoding, 2);
        let gemm = Gemm::random(&shape, 1).unwrap();
        let weights = gemm.weights().vector(0).iter();
        let weights: i64 = weights.map(|w| i64::from(w.unsigned_abs())).sum();
        let shift = Plan::of_gemm(&design, &gemm).unwrap().result_shift();
        let largest = (4095 >> shift) - 3 * weights;
        let fits = |bias| {
            let gemm = gemm.clone().with_bias(vec![bias]).unwrap();
            Lowered::new(&design, &gemm).is_ok()
        };
        assert!(fits(largest) && fits(-largest), "{encoding}");
        assert!(!fits(largest + 1) && !fits(-largest - 1), "{encoding}");
    }
}

#[test]
fn operands_are_checked() {
    let bipolar = Precision::new(Encoding::Bipolar, 2);
    let refused = |vectors, elements, values| {
        Operand::new("weights", bipolar, vectors, elements, values)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        refused(2, 2, vec![1, 3, -1, 2]),
        "weights, vector 1, element 1: 2 is even, and `bipolar` of 2 bits holds odd numbers only, -3..=3; quantize to odd numbers or choose `signed`"
    );
    assert_eq!(
        refused(2, 2, vec![1]),
        "weights has 1 entries where 4 are needed (vectors x elements); give that many"
    );
    assert!(refused(0, 2, vec![]).contains("columns (Q) = 0"));
    assert!(refused(usize::MAX, 2, vec![]).contains("out of range"));
    assert!(refused(1, 1 << 21, vec![]).contains("out of range"));
}

#[test]
fn border_classes_are_checked() {
    let gemm = || Gemm::random(&shape(2, 1, 3), 1).unwrap();
    let classes = |of_row: &[u32], taps: usize| BorderClasses {
        of_row: of_row.to_vec(),
        valid: vec![vec![true; taps]],
    };
    assert!(gemm().with_classes(classes(&[0, 0], 3)).is_ok());
    assert!(matches!(
        gemm().with_classes(classes(&[0], 3)),
        Err(GemmError::Length {
            found: 1,
            expected: 2,
            ..
        })
    ));
    assert!(matches!(
        gemm().with_classes(classes(&[0, 0], 2)),
        Err(GemmError::Length {
            found: 2,
            expected: 3,
            ..
        })
    ));
    assert!(matches!(
        gemm().with_classes(classes(&[0, 1], 3)),
        Err(GemmError::UnknownClass {
            row: 1,
            class: 1,
            classes: 1
        })
    ));
    let mut unsigned = shape(2, 1, 3);
    unsigned.activation = Precision::new(Encoding::Unsigned, 2);
    assert!(matches!(
        Gemm::random(&unsigned, 1)
            .unwrap()
            .with_classes(classes(&[0, 0], 3)),
        Err(GemmError::ClassesNeedBipolar(Encoding::Unsigned))
    ));
}

#[test]
fn passes_hold_as_many_column_tiles_as_the_memory() {
    // tiny: 2 rows, 3 columns, 5 lanes, 2 constant entries.
    let plan = Plan::new(&tiny(), &shape(5, 16, 12)).unwrap();
    let passes: Vec<_> = plan.passes().collect();
    assert_eq!(plan.tile_beats(), 3 * 4);
    assert_eq!(
        passes.iter().map(|p| p.entries).collect::<Vec<_>>(),
        [2, 2, 2]
    );
    assert_eq!(
        passes.iter().map(|p| p.tiles).collect::<Vec<_>>(),
        [6, 6, 6]
    );
    let plan = Plan::new(&tiny(), &shape(5, 13, 12)).unwrap();
    assert_eq!(plan.pass(2).entries, 1);
    let mut bordered = shape(5, 13, 12);
    bordered.classes = 2;
    assert_eq!(Plan::new(&tiny(), &bordered).unwrap().pass_count(), 5);
}

#[test]
fn one_tile_takes_what_the_microarchitecture_says() {
    let design = tiny();
    // One constant write, then T + D + R + 4 cycles.
    let report = CycleReport::of_shape(&design, &shape(2, 3, 5)).unwrap();
    assert_eq!((report.beats, report.cycles), (4, 1 + 4 + 1 + 2 + 4));
    assert_eq!(report.bound, Bound::Compute);
    assert_eq!(report.binary_pairs, 2 * 3 * 5 * 4);
    assert_eq!(report.operations, 2 * report.binary_pairs);
    assert_eq!(report.utilization, 120.0 / (30.0 * 12.0));
    let config = ArrayConfig {
        rows: 7,
        ..design.config().clone()
    };
    let tall = config.validate().unwrap();
    let report = CycleReport::of_shape(&tall, &shape(70, 3, 5)).unwrap();
    assert_eq!(report.bound, Bound::Drain);
}
