//! RustHDL's own simulation of the kernels in lockstep with the cycle-accurate model, at small sizes.

use rust_hdl_core::block::Block;
use rust_hdl_core::simulate::simulate;
use xnorforge_hdl::hardware::StreamArray;
use xnorforge_hdl::rtl::Word;
use xnorforge_hdl::{ArrayConfig, Design, Structure, Target};
use xnorforge_sim::encoder::{self, Encoding};
use xnorforge_sim::{
    Gemm, GemmShape, Inputs, Lockstep, Lowered, Model, Outputs, Precision, Simulator,
    SimulatorError, StallPlan, drive,
};

/// Passes after which a design without loops has settled.
const PASSES_MAX: usize = 200;

/// The design as RustHDL simulates it.
struct RustHdlArray {
    top: StreamArray,
    design: Design,
    outputs: Outputs,
    cycle: u64,
}

impl RustHdlArray {
    fn new(design: &Design) -> Self {
        let mut top = StreamArray::new(design);
        top.connect_all();
        let mut array = RustHdlArray {
            top,
            design: design.clone(),
            outputs: Outputs::default(),
            cycle: 0,
        };
        array.settle();
        let reset = Inputs {
            reset: true,
            ..Inputs::default()
        };
        array.step(&reset).expect("the kernels never stop");
        array.cycle = 0;
        array
    }

    fn settle(&mut self) {
        assert!(
            simulate(&mut self.top, PASSES_MAX),
            "the design does not settle"
        );
    }

    fn lanes(&self, words: &[u64]) -> Word {
        let lanes = self.design.config().lanes as usize;
        Word::from_bits((0..lanes).map(|i| words[i / 64] >> (i % 64) & 1 == 1))
    }

    fn set_inputs(&mut self, inputs: &Inputs<'_>) {
        let bit = |b: bool| Word::from(b);
        let c = self.design.config().clone();
        let words = c.lanes.div_ceil(64) as usize;
        self.top.reset.next = bit(inputs.reset);
        self.top.operand_valid.next = bit(inputs.operand.is_some());
        self.top.result_ready.next = bit(inputs.result_ready);
        self.top.constant_write.next = bit(inputs.constant.is_some());
        if let Some(beat) = inputs.operand {
            self.top.operand_first.next = bit(beat.first);
            self.top.operand_last.next = bit(beat.last);
            let shifts = self.design.shift_amounts.len();
            self.top.operand_shift.next =
                Word::from_bits((0..shifts).map(|i| beat.shift == Some(i as u32)));
            self.top.operand_row_mode.next = Word::new(2, beat.row_mode as u64);
            self.top.operand_align.next =
                Word::new(self.design.align_width as usize, beat.align.into());
            self.top.operand_result_shift.next = Word::new(2, beat.result_shift.into());
            let width = self.design.entry_width as usize;
            let entries = &beat.entry;
            self.top.operand_entry.next = Word::from_bits(
                (0..entries.len() * width).map(|i| entries[i / width] >> (i % width) & 1 == 1),
            );
            for r in 0..c.rows as usize {
                for m in 0..c.activation_branches as usize {
                    let at = (r * c.activation_branches as usize + m) * words;
                    self.top.operand_activation[r][m].next = self.lanes(&beat.activation[at..]);
                }
            }
            for q in 0..c.columns as usize {
                for k in 0..c.weight_branches as usize {
                    let at = (q * c.weight_branches as usize + k) * words;
                    self.top.operand_weight[q][k].next = self.lanes(&beat.weight[at..]);
                }
            }
        }
        if let Some(write) = inputs.constant {
            let (entry, width) = (self.design.entry_width, self.design.result_width);
            self.top.constant_entry.next = Word::new(entry as usize, write.entry.into());
            for (net, value) in self.top.constant_value.iter_mut().zip(&write.value) {
                net.next = Word::new(width as usize, *value as u64 & ((1 << width) - 1));
            }
        }
    }

    fn read_outputs(&mut self) {
        let shift = 64 - self.design.result_width;
        let signed = |word: Word| (word.to_u64() << shift) as i64 >> shift;
        let valid = self.top.result_valid.val().any();
        self.outputs = Outputs {
            operand_ready: self.top.operand_ready.val().any(),
            result_valid: valid,
            result_last: valid && self.top.result_last.val().any(),
            result: if valid {
                self.top
                    .result_value
                    .iter()
                    .map(|n| signed(n.val()))
                    .collect()
            } else {
                Vec::new()
            },
        };
    }
}

impl Simulator for RustHdlArray {
    fn name(&self) -> &str {
        "RustHDL kernels"
    }

    fn step(&mut self, inputs: &Inputs<'_>) -> Result<&Outputs, SimulatorError> {
        self.set_inputs(inputs);
        self.top.clock.next = false.into();
        self.settle();
        self.read_outputs();
        self.top.clock.next = true.into();
        self.settle();
        self.cycle += 1;
        Ok(&self.outputs)
    }

    fn cycle(&self) -> u64 {
        self.cycle
    }
}

#[test]
fn kernels_behave_as_the_model() {
    let base = ArrayConfig::preset("tiny").unwrap();
    let configs = [
        base.clone(),
        ArrayConfig {
            rows: 1,
            columns: 2,
            lanes: 9,
            activation_bits: 3,
            weight_bits: 2,
            activation_branches: 2,
            weight_branches: 2,
            popcount_stages: 3,
            ..base.clone()
        },
        ArrayConfig {
            rows: 2,
            columns: 1,
            lanes: 9,
            target: Target::Ice40,
            structure: Structure::AdderChains,
            ..base.clone()
        },
        ArrayConfig {
            rows: 3,
            columns: 1,
            lanes: 20,
            activation_bits: 2,
            weight_bits: 4,
            weight_branches: 3,
            popcount_stages: 2,
            ..base
        },
    ];
    for (seed, config) in (40..).zip(configs) {
        for weight in [Encoding::Bipolar, Encoding::Signed, Encoding::Unsigned] {
            let design = config.validate().unwrap();
            let shape = GemmShape {
                rows: 4,
                columns: 4,
                elements: 25,
                activation: Precision::new(Encoding::Unsigned, config.activation_bits),
                weight: Precision::new(weight, config.weight_bits),
                classes: 1,
            };
            let gemm = Gemm::random(&shape, seed).unwrap();
            println!("seed {seed}, weights {weight}, {config:?}");
            let mut pair = Lockstep::new(Model::new(&design), RustHdlArray::new(&design));
            let lowered = Lowered::new(&design, &gemm).unwrap();
            let stalls = StallPlan {
                operand: 0.2,
                constant: 0.2,
                result: 0.4,
                seed,
            };
            let driven = drive(&mut pair, &lowered, &stalls).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(driven.results, encoder::gemm(&gemm));
        }
    }
}
