//! A popcount built from its plan: one schedule that is executed here and printed as a syntax tree.

use super::xnor_popcount::planes;
use crate::popcount::{PopcountPlan, Rank};
use crate::rtl::prelude::*;
use rust_hdl_core::ast::{
    Verilog, VerilogBlock, VerilogExpression as Expression, VerilogLoop, VerilogOp as Op,
    VerilogStatement as Statement,
};
use std::collections::VecDeque;

/// Reduces the heap of a [`PopcountPlan`] to one number, with pipeline registers after some of its ranks.
#[derive(Clone, Debug, LogicBlock)]
pub struct PopcountTree {
    shape: Shape,
    /// Clock.
    pub clock: Signal<In, Clock>,
    /// Lets the pipeline move.
    pub advance: Net<In>,
    /// The heap: group m, plane p, one bit for each pair.
    pub plane: Vec<Vec<Net<In>>>,
    /// The count.
    pub count: Net<Out>,
    bits: Vec<Net<Local>>,
    full_sum: Vec<Net<Local>>,
    full_carry: Vec<Net<Local>>,
    /// For each rank and group, its adders' outputs with the carry-in's place at the bottom.
    adder: Vec<Vec<Net<Local>>>,
    /// For each rank and group, its numbers side by side. Index 0 holds what enters the first rank.
    number: Vec<Vec<Net<Local>>>,
    /// For each pipeline register and group, the numbers.
    held: Vec<Vec<EnabledRegister>>,
    /// For each pipeline register and group, the carry-ins that later ranks use.
    held_bits: Vec<Vec<EnabledRegister>>,
    _plan: PopcountPlan,
    _cuts: Vec<usize>,
    _pipeline: VecDeque<u64>,
}

/// Widths of one rank's output vectors: one vector for each group before the merge, one for each total after it.
fn vector_widths(plan: &PopcountPlan, rank: &Rank) -> Vec<u32> {
    let widths = rank.output_widths();
    match rank {
        Rank::Merge { .. } => widths,
        _ => vec![widths.iter().sum(); plan.groups as usize],
    }
}

impl PopcountTree {
    /// The tree of a plan with `stages` pipeline registers.
    pub fn new(plan: PopcountPlan, stages: u32) -> Self {
        let cuts: Vec<usize> = plan
            .register_ranks(stages)
            .into_iter()
            .map(|r| r as usize)
            .collect();
        let single = plan.planes == 1 && plan.pairs > 1;
        let per_group = |width| Net::vector(plan.groups, width);
        let full_adders = match plan.rank_list().first() {
            Some(Rank::FullAdders { numbers }) => *numbers,
            _ => 0,
        };
        let full = || match full_adders {
            0 => Vec::new(),
            n => per_group(n),
        };
        let mut number = vec![if single {
            Vec::new()
        } else {
            per_group(plan.pairs * plan.planes)
        }];
        let mut adder = Vec::new();
        for rank in plan.rank_list() {
            let widths = vector_widths(&plan, rank);
            number.push(widths.into_iter().map(Net::new).collect());
            adder.push(match rank {
                Rank::Adders {
                    numbers_in,
                    width_out,
                    carry_in: Some(_),
                    ..
                } => (0..plan.groups)
                    .map(|_| {
                        Net::partly_unused(
                            *numbers_in / 2 * (*width_out + 1),
                            "bit 0 of each sum is the place of its carry-in",
                        )
                    })
                    .collect(),
                _ => Vec::new(),
            });
        }
        let mut held = Vec::new();
        let mut held_bits = Vec::new();
        for (stage, cut) in cuts.iter().enumerate() {
            let last = stage + 1 == cuts.len();
            let source = number[(*cut).min(number.len() - 1)].clone();
            held.push(
                source
                    .iter()
                    .map(|n| EnabledRegister::new(n.next.bits() as u32))
                    .collect(),
            );
            let rest = carries_after(&plan, *cut);
            held_bits.push(if last || rest.1 == 0 {
                Vec::new()
            } else {
                EnabledRegister::vector(plan.groups, rest.1)
            });
        }
        let stages_text: Vec<String> = cuts.iter().map(usize::to_string).collect();
        PopcountTree {
            shape: Shape::new(
                format!(
                    "popcount_n{}_p{}_g{}_d{}",
                    plan.pairs,
                    plan.planes,
                    plan.groups,
                    stages_text.join("_")
                ),
                "Popcount of a weighted heap: full adders, then adders that each take one more bit as carry-in.",
            ),
            clock: Signal::default(),
            advance: Net::new(1),
            plane: planes(&plan),
            count: Net::new(plan.count_width()),
            bits: if single {
                per_group(plan.bits)
            } else {
                Vec::new()
            },
            full_sum: full(),
            full_carry: full(),
            adder,
            number,
            held,
            held_bits,
            _cuts: cuts,
            _pipeline: VecDeque::from(vec![0; stages as usize]),
            _plan: plan,
        }
    }

    /// The count of what stands at the planes now.
    fn count_now(&self) -> u64 {
        let rows: Vec<Vec<u64>> = self
            .plane
            .iter()
            .map(|group| {
                (0..self._plan.pairs as usize)
                    .map(|i| {
                        group
                            .iter()
                            .enumerate()
                            .map(|(p, plane)| u64::from(plane.val().get_bit(i)) << p)
                            .sum()
                    })
                    .collect()
            })
            .collect();
        self._plan.count(&rows)
    }
}

/// The first carry-in that ranks after `cut` use, and how many there are.
fn carries_after(plan: &PopcountPlan, cut: usize) -> (u32, u32) {
    let later = plan.rank_list().get(cut..).unwrap_or(&[]);
    let first = later.iter().find_map(|rank| match rank {
        Rank::Adders { carry_in, .. } => *carry_in,
        _ => None,
    });
    first.map_or((0, 0), |first| (first, plan.bits - first))
}

impl Logic for PopcountTree {
    fn update(&mut self) {
        if self.clock.pos_edge() && self.advance.val().any() {
            let count = self.count_now();
            self._pipeline.push_back(count);
            self._pipeline.pop_front();
            let width = self.count.next.bits();
            self.count.next = Word::new(width, self._pipeline[0]);
        }
    }

    fn connect(&mut self) {
        self.count.connect();
        for net in self
            .bits
            .iter_mut()
            .chain(&mut self.full_sum)
            .chain(&mut self.full_carry)
            .chain(self.adder.iter_mut().flatten())
            .chain(self.number.iter_mut().flatten())
        {
            net.connect();
        }
        for register in self.held.iter_mut().chain(&mut self.held_bits).flatten() {
            register.clock.connect();
            register.enable.connect();
            register.d.connect();
        }
    }

    fn hdl(&self) -> Verilog {
        Verilog::Combinatorial(Printer::new(self).print())
    }
}

/// Writes the syntax tree of a [`PopcountTree`].
struct Printer<'a> {
    tree: &'a PopcountTree,
    code: VerilogBlock,
    /// Where each group's numbers are now.
    numbers: Vec<String>,
    /// Where each group's bits are now, and which bit stands at its place 0.
    bits: Vec<(String, u32)>,
}

impl<'a> Printer<'a> {
    fn new(tree: &'a PopcountTree) -> Self {
        let groups = 0..tree._plan.groups;
        Printer {
            tree,
            code: Vec::new(),
            numbers: groups.clone().map(|m| format!("number[0][{m}]")).collect(),
            bits: groups.map(|m| (format!("bits[{m}]"), 0)).collect(),
        }
    }

    fn print(mut self) -> VerilogBlock {
        let plan = &self.tree._plan;
        if self.tree.bits.is_empty() {
            self.collect_rows();
        } else {
            for (m, (bits, _)) in self.bits.iter().enumerate() {
                let plane = signal(&format!("plane[{m}][0]"));
                self.code.push(assign(bits, cast(plane, plan.bits)));
            }
        }
        for (index, rank) in plan.rank_list().iter().enumerate() {
            self.comment(index, rank);
            match rank {
                Rank::FullAdders { numbers } => self.full_adders(*numbers),
                Rank::Adders { .. } => self.adders(index, rank),
                Rank::Merge { widths_out, weight } => self.merge(index, widths_out, *weight),
            }
            self.hold(index + 1);
        }
        if plan.rank_list().is_empty() {
            self.hold(1);
        }
        let count = signal(&self.numbers[0]);
        self.code.push(assign("count", count));
        self.code
    }

    fn comment(&mut self, index: usize, rank: &Rank) {
        let widths = rank.output_widths();
        let bits: Vec<String> = match rank {
            Rank::Merge { .. } => widths.iter().map(u32::to_string).collect(),
            _ => widths.first().map(u32::to_string).into_iter().collect(),
        };
        let text = format!(
            "rank {}: {} number{} of {} bits",
            index + 1,
            widths.len(),
            if widths.len() == 1 { "" } else { "s" },
            bits.join(", ")
        );
        self.code.push(Statement::Comment(text));
    }

    /// Puts the planes' bits side by side, row by row.
    fn collect_rows(&mut self) {
        let plan = &self.tree._plan;
        for m in 0..plan.groups as usize {
            let mut body = Vec::new();
            for p in 0..plan.planes {
                let plane = signal(&format!("plane[{m}][{p}]"));
                body.push(Statement::SliceAssignment {
                    base: signal(&format!("number[0][{m}]$next")),
                    width: 1,
                    offset: offset(plan.planes, p),
                    replacement: slice(plane, 1, offset(1, 0)),
                });
            }
            self.code.push(for_loop(plan.pairs, body));
        }
    }

    fn full_adders(&mut self, n: u32) {
        for m in 0..self.tree._plan.groups as usize {
            let third = |i: u32| slice(signal(&self.bits[m].0), n, constant(i * n));
            let (sum, carry) = (format!("full_sum[{m}]"), format!("full_carry[{m}]"));
            let xor = binary(binary(third(0), Op::BitXor, third(1)), Op::BitXor, third(2));
            let both = binary(third(0), Op::BitAnd, third(1));
            let either = binary(third(0), Op::BitOr, third(1));
            let majority = binary(both, Op::BitOr, binary(third(2), Op::BitAnd, either));
            let number = format!("number[1][{m}]");
            let place = |bit: u32, from: &str| Statement::SliceAssignment {
                base: signal(&format!("{number}$next")),
                width: 1,
                offset: offset(2, bit),
                replacement: slice(signal(from), 1, offset(1, 0)),
            };
            let body = vec![place(0, &sum), place(1, &carry)];
            self.code.push(assign(&sum, xor));
            self.code.push(assign(&carry, majority));
            self.code.push(for_loop(n, body));
            self.numbers[m] = number;
        }
    }

    fn adders(&mut self, index: usize, rank: &Rank) {
        let Rank::Adders {
            numbers_in,
            width_in,
            width_out,
            carry_in,
            ..
        } = *rank
        else {
            return;
        };
        let sums = numbers_in / 2;
        for m in 0..self.tree._plan.groups as usize {
            let source = self.numbers[m].clone();
            let target = format!("number[{}][{m}]", index + 1);
            let operand = |odd: u32| {
                slice(
                    signal(&source),
                    width_in,
                    offset(2 * width_in, odd * width_in),
                )
            };
            let place = |replacement| Statement::SliceAssignment {
                base: signal(&format!("{target}$next")),
                width: width_out as usize,
                offset: offset(width_out, 0),
                replacement,
            };
            let body = match carry_in {
                None => {
                    let sum = binary(
                        cast(operand(0), width_out),
                        Op::Add,
                        cast(operand(1), width_out),
                    );
                    vec![place(sum)]
                }
                Some(first) => {
                    let (bits, base) = &self.bits[m];
                    let carry = slice(signal(bits), 1, offset(1, first - base));
                    let width = width_out + 1;
                    let with = |operand, low| {
                        let up = binary(cast(operand, width), Op::Shl, constant(1));
                        binary(up, Op::BitOr, cast(low, width))
                    };
                    let adder = format!("adder[{index}][{m}]");
                    vec![
                        Statement::SliceAssignment {
                            base: signal(&format!("{adder}$next")),
                            width: width as usize,
                            offset: offset(width, 0),
                            replacement: binary(
                                with(operand(0), carry.clone()),
                                Op::Add,
                                with(operand(1), carry),
                            ),
                        },
                        place(slice(signal(&adder), width_out, offset(width, 1))),
                    ]
                }
            };
            self.code.push(for_loop(sums, body));
            if numbers_in % 2 == 1 {
                let last = slice(signal(&source), width_in, constant(2 * sums * width_in));
                self.code.push(Statement::SliceAssignment {
                    base: signal(&format!("{target}$next")),
                    width: width_out as usize,
                    offset: constant(sums * width_out),
                    replacement: cast(last, width_out),
                });
            }
            self.numbers[m] = target;
        }
    }

    fn merge(&mut self, index: usize, widths_out: &[u32], weight: u32) {
        let mut totals = Vec::new();
        for (j, pair) in self.numbers.chunks(2).enumerate() {
            let target = format!("number[{}][{j}]", index + 1);
            let width_out = widths_out[j];
            let low = cast(signal(&pair[0]), width_out);
            let sum = match pair.get(1) {
                None => low,
                Some(high) => {
                    let high = cast(signal(high), width_out);
                    binary(low, Op::Add, binary(high, Op::Shl, constant(weight)))
                }
            };
            self.code.push(assign(&target, sum));
            totals.push(target);
        }
        self.numbers = totals;
    }

    /// The pipeline register after a rank, if there is one.
    fn hold(&mut self, rank: usize) {
        let Some(stage) = self.tree._cuts.iter().position(|cut| *cut == rank) else {
            return;
        };
        for g in 0..self.numbers.len() {
            let register = format!("held[{stage}][{g}]");
            let value = signal(&self.numbers[g]);
            self.register(&register, value);
            self.numbers[g] = format!("{register}$q");
        }
        if self.tree.held_bits[stage].is_empty() {
            return;
        }
        let (first, count) = carries_after(&self.tree._plan, rank);
        for m in 0..self.bits.len() {
            let register = format!("held_bits[{stage}][{m}]");
            let (bits, base) = self.bits[m].clone();
            self.register(
                &register,
                slice(signal(&bits), count, constant(first - base)),
            );
            self.bits[m] = (format!("{register}$q"), first);
        }
    }

    fn register(&mut self, register: &str, value: Expression) {
        for (pin, value) in [
            ("clock", signal("clock")),
            ("enable", signal("advance")),
            ("d", value),
        ] {
            self.code.push(assign(&format!("{register}${pin}"), value));
        }
    }
}

fn signal(path: &str) -> Expression {
    Expression::Signal(path.to_owned())
}

fn constant(value: u32) -> Expression {
    Expression::Literal(value.into())
}

/// `scale * i + shift`, i being the loop's variable.
fn offset(scale: u32, shift: u32) -> Expression {
    let scaled = Expression::Binary(Box::new(constant(scale)), Op::Mul, Box::new(signal("i")));
    Expression::Binary(Box::new(scaled), Op::Add, Box::new(constant(shift)))
}

fn slice(of: Expression, width: u32, offset: Expression) -> Expression {
    Expression::Slice(Box::new(of), width as usize, Box::new(offset))
}

fn cast(of: Expression, width: u32) -> Expression {
    Expression::Cast(Box::new(of), width as usize)
}

/// In parentheses: RustHDL's stock generator prints none of its own.
fn binary(left: Expression, op: Op, right: Expression) -> Expression {
    Expression::Paren(Box::new(Expression::Binary(
        Box::new(left),
        op,
        Box::new(right),
    )))
}

fn assign(path: &str, value: Expression) -> Statement {
    Statement::Assignment(signal(&format!("{path}$next")), value)
}

fn for_loop(count: u32, block: VerilogBlock) -> Statement {
    Statement::Loop(VerilogLoop {
        index: "i".to_owned(),
        from: 0u32.into(),
        to: count.into(),
        block,
    })
}
