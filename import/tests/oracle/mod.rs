//! A straightforward evaluation of graphs in rational numbers, and a builder of small ones.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Signed, ToPrimitive, Zero};
use std::collections::BTreeMap;
use xnorforge_import::graph::{Array, Graph, Levels, Node, Op, Round, Sweep};

pub type Rational = BigRational;

/// A tensor of rationals.
#[derive(Clone, Debug)]
pub struct Exact {
    pub shape: Vec<usize>,
    pub values: Vec<Rational>,
}

pub fn rational(value: f64) -> Rational {
    Rational::from_float(value).expect("a finite number")
}

pub fn whole(value: i64) -> Rational {
    Rational::from_integer(value.into())
}

impl Exact {
    pub fn floats(shape: &[usize], values: &[f32]) -> Self {
        assert_eq!(shape.iter().product::<usize>(), values.len(), "{shape:?}");
        Exact {
            shape: shape.to_vec(),
            values: values.iter().map(|v| rational((*v).into())).collect(),
        }
    }

    fn of_array(array: &Array) -> Self {
        let values: Vec<Rational> = match array {
            Array::F32(a) => a.iter().map(|v| rational((*v).into())).collect(),
            Array::F64(a) => a.iter().map(|v| rational(*v)).collect(),
            Array::I8(a) => a.iter().map(|v| whole((*v).into())).collect(),
            Array::U8(a) => a.iter().map(|v| whole((*v).into())).collect(),
            Array::I32(a) => a.iter().map(|v| whole((*v).into())).collect(),
            Array::I64(a) => a.iter().map(|v| whole(*v)).collect(),
        };
        Exact {
            shape: array.shape().to_vec(),
            values,
        }
    }

    fn strides(&self) -> Vec<usize> {
        let count = |d: usize| self.shape[d + 1..].iter().product();
        (0..self.shape.len()).map(count).collect()
    }

    fn at(&self, index: &[usize]) -> &Rational {
        let place: usize = self.strides().iter().zip(index).map(|(s, i)| s * i).sum();
        &self.values[place]
    }

    /// The number at an index of a shape that this one is broadcast to.
    fn broadcast(&self, index: &[usize]) -> &Rational {
        let skip = index.len() - self.shape.len();
        let own: Vec<usize> = self
            .shape
            .iter()
            .zip(&index[skip..])
            .map(|(d, i)| if *d == 1 { 0 } else { *i })
            .collect();
        self.at(&own)
    }

    /// The number of a channel, of a list or a single number.
    fn of_channel(&self, channel: usize) -> &Rational {
        &self.values[if self.values.len() == 1 { 0 } else { channel }]
    }

    fn make(shape: &[usize], rule: impl Fn(&[usize]) -> Rational) -> Self {
        let count: usize = shape.iter().product();
        let values = (0..count)
            .map(|mut flat| {
                let mut index = vec![0; shape.len()];
                for d in (0..shape.len()).rev() {
                    index[d] = flat % shape[d];
                    flat /= shape[d];
                }
                rule(&index)
            })
            .collect();
        Exact {
            shape: shape.to_vec(),
            values,
        }
    }

    fn map(&self, rule: impl Fn(&Rational) -> Rational) -> Self {
        Exact {
            shape: self.shape.clone(),
            values: self.values.iter().map(rule).collect(),
        }
    }
}

fn joined(a: &Exact, b: &Exact, rule: impl Fn(&Rational, &Rational) -> Rational) -> Exact {
    let rank = a.shape.len().max(b.shape.len());
    let size = |t: &Exact, d: usize| {
        (d + t.shape.len())
            .checked_sub(rank)
            .map_or(1, |i| t.shape[i])
    };
    let shape: Vec<usize> = (0..rank).map(|d| size(a, d).max(size(b, d))).collect();
    Exact::make(&shape, |index| rule(a.broadcast(index), b.broadcast(index)))
}

/// Rounds a quotient that is clamped first.
pub fn rounded(value: &Rational, levels: (i64, i64), how: Round) -> Rational {
    let value = value.clone().max(whole(levels.0)).min(whole(levels.1));
    let (floor, ceil) = (value.floor(), value.ceil());
    let half = Rational::new(1.into(), 2.into());
    let is_tie = &value - &floor == half;
    let nearest = if &value - &floor < half {
        floor.clone()
    } else {
        ceil.clone()
    };
    let is_even = |v: &Rational| (v / whole(2)).is_integer();
    match how {
        Round::HalfEven if is_tie => {
            if is_even(&floor) {
                floor
            } else {
                ceil
            }
        }
        Round::HalfAway if is_tie => {
            if value.is_negative() {
                floor
            } else {
                ceil
            }
        }
        Round::HalfToZero if is_tie => {
            if value.is_negative() {
                ceil
            } else {
                floor
            }
        }
        Round::HalfEven | Round::HalfAway | Round::HalfToZero => nearest,
        Round::Ceil => ceil,
        Round::Floor => floor,
        Round::AwayFromZero => {
            if value.is_negative() {
                floor
            } else {
                ceil
            }
        }
        Round::ToZero => {
            if value.is_negative() {
                ceil
            } else {
                floor
            }
        }
    }
}

/// The square root to some 500 bits.
fn root(value: &Rational) -> Rational {
    let scaled: BigInt = (value.numer() << 1000) / value.denom();
    let exact = Rational::new(value.numer().sqrt(), value.denom().sqrt());
    if &exact * &exact == *value {
        return exact;
    }
    Rational::new(scaled.sqrt(), BigInt::one() << 500)
}

/// Every tensor of a graph.
pub fn evaluate(graph: &Graph, input: &Exact) -> BTreeMap<String, Exact> {
    let mut tensors: BTreeMap<String, Exact> = graph
        .constants
        .iter()
        .map(|(name, array)| (name.clone(), Exact::of_array(array)))
        .collect();
    tensors.insert(graph.inputs[0].clone(), input.clone());
    for node in &graph.nodes {
        let inputs: Vec<&Exact> = node.inputs.iter().map(|name| &tensors[name]).collect();
        let output = apply(&node.op, &inputs);
        tensors.insert(node.output.clone(), output);
    }
    tensors
}

fn apply(op: &Op, inputs: &[&Exact]) -> Exact {
    let x = inputs[0];
    let along = |axis: usize| move |index: &[usize]| index[axis];
    match op {
        Op::Conv { sweep, groups } => conv(x, inputs[1], inputs.get(2).copied(), sweep, *groups),
        Op::Gemm {
            alpha,
            beta,
            transpose_b,
            ..
        } => {
            let b = if *transpose_b {
                transposed(inputs[1], &[1, 0])
            } else {
                inputs[1].clone()
            };
            let (alpha, beta) = (rational((*alpha).into()), rational((*beta).into()));
            let product = matmul(x, &b).map(|v| v * &alpha);
            match inputs.get(2) {
                Some(c) => joined(&product, c, |p, c| p + c * &beta),
                None => product,
            }
        }
        Op::MatMul => matmul(x, inputs[1]),
        Op::BatchNormalization { epsilon } => {
            let channel = along(1);
            Exact::make(&x.shape, |index| {
                let of = |input: usize| inputs[input].of_channel(channel(index));
                let spread = of(4) + rational((*epsilon).into());
                (x.at(index) - of(3)) / root(&spread) * of(1) + of(2)
            })
        }
        Op::Relu => x.map(|v| v.clone().max(Rational::zero())),
        Op::Clip { low, high } => x.map(|v| {
            let v = low.map_or(v.clone(), |l| v.clone().max(rational(l.into())));
            high.map_or(v.clone(), |h| v.min(rational(h.into())))
        }),
        Op::Sign => x.map(Signed::signum),
        Op::Neg => x.map(|v| -v),
        Op::Add => joined(x, inputs[1], |a, b| a + b),
        Op::Sub => joined(x, inputs[1], |a, b| a - b),
        Op::Mul => joined(x, inputs[1], |a, b| a * b),
        Op::Div => joined(x, inputs[1], |a, b| a / b),
        Op::MaxPool(sweep) => pool(x, sweep, |taps, _| taps.into_iter().max().unwrap()),
        Op::AveragePool {
            sweep,
            count_include_pad,
        } => pool(x, sweep, |taps, kernel| {
            let count = if *count_include_pad {
                kernel
            } else {
                taps.len()
            };
            taps.into_iter().sum::<Rational>() / whole(count as i64)
        }),
        Op::GlobalAveragePool => {
            let (h, w) = (x.shape[2], x.shape[3]);
            let sweep = Sweep {
                kernel: (h as u32, w as u32),
                stride: (1, 1),
                dilation: (1, 1),
                pads: [0; 4],
            };
            pool(x, &sweep, |taps, kernel| {
                taps.into_iter().sum::<Rational>() / whole(kernel as i64)
            })
        }
        Op::Flatten { axis } => Exact {
            shape: vec![
                x.shape[..*axis].iter().product(),
                x.shape[*axis..].iter().product(),
            ],
            values: x.values.clone(),
        },
        Op::Reshape { shape } => Exact {
            shape: shape.clone(),
            values: x.values.clone(),
        },
        Op::Transpose { order } => transposed(x, order),
        Op::Concat { .. } => panic!("not evaluated"),
        Op::Pad { pads, value } => {
            let shape: Vec<usize> = x
                .shape
                .iter()
                .zip(pads)
                .map(|(d, p)| d + p.0 + p.1)
                .collect();
            Exact::make(&shape, |index| {
                let own: Option<Vec<usize>> = index
                    .iter()
                    .zip(pads)
                    .zip(&x.shape)
                    .map(|((i, p), d)| i.checked_sub(p.0).filter(|i| i < d))
                    .collect();
                own.map_or(rational((*value).into()), |own| x.at(&own).clone())
            })
        }
        Op::Identity => x.clone(),
        Op::Quant { levels, round } => quant(x, inputs[1], inputs[2], *levels, *round),
        Op::BipolarQuant => joined(
            x,
            inputs[1],
            |x, s| if x.is_negative() { -s } else { s.clone() },
        ),
        Op::Trunc {
            levels,
            output_scale,
            round,
            ..
        } => {
            let output = rational((*output_scale).into());
            let ratio = &output / &inputs[1].values[0];
            let power = whole(1 << ratio.to_f64().unwrap().log2().round() as i64);
            let zero = inputs[2].values[0].clone();
            x.map(|v| {
                let integer = rounded(
                    &(v / &inputs[1].values[0] + &zero),
                    (-1 << 50, 1 << 50),
                    Round::HalfEven,
                );
                (rounded(&(integer / &power), levels.range(), *round) - &zero / &power) * &output
            })
        }
        Op::MultiThreshold { scale, bias } => Exact::make(&x.shape, |index| {
            let thresholds = inputs[1];
            let row = if thresholds.shape[0] == 1 {
                0
            } else {
                index[1]
            };
            let count = (0..thresholds.shape[1])
                .filter(|t| x.at(index) >= thresholds.at(&[row, *t]))
                .count();
            whole(count as i64) * rational((*scale).into()) + rational((*bias).into())
        }),
        Op::QuantizeLinear { levels, axis } => {
            let channel = along(*axis);
            Exact::make(&x.shape, |index| {
                let of = |input: usize| inputs[input].of_channel(channel(index));
                let quotient =
                    rounded(&(x.at(index) / of(1)), (-1 << 50, 1 << 50), Round::HalfEven);
                rounded(&(quotient + of(2)), levels.range(), Round::HalfEven)
            })
        }
        Op::DequantizeLinear { axis } => {
            let channel = along(*axis);
            Exact::make(&x.shape, |index| {
                let of = |input: usize| inputs[input].of_channel(channel(index));
                (x.at(index) - of(2)) * of(1)
            })
        }
    }
}

fn quant(x: &Exact, scale: &Exact, zero: &Exact, levels: Levels, how: Round) -> Exact {
    let quotient = joined(&joined(x, scale, |x, s| x / s), zero, |q, z| q + z);
    let integers = quotient.map(|q| rounded(q, levels.range(), how));
    joined(&joined(&integers, zero, |q, z| q - z), scale, |q, s| q * s)
}

fn transposed(x: &Exact, order: &[usize]) -> Exact {
    let shape: Vec<usize> = order.iter().map(|d| x.shape[*d]).collect();
    Exact::make(&shape, |index| {
        let mut own = vec![0; index.len()];
        for (i, d) in order.iter().enumerate() {
            own[*d] = index[i];
        }
        x.at(&own).clone()
    })
}

fn matmul(a: &Exact, b: &Exact) -> Exact {
    let rank = a.shape.len();
    let mut shape = a.shape.clone();
    shape[rank - 1] = b.shape[1];
    Exact::make(&shape, |index| {
        let mut own = index.to_vec();
        (0..b.shape[0])
            .map(|k| {
                own[rank - 1] = k;
                a.at(&own) * b.at(&[k, index[rank - 1]])
            })
            .sum()
    })
}

/// Line and pixel of a tap in its kernel, and in the input; none in the padding.
type Tap = (usize, usize, Option<(usize, usize)>);

/// Input places of the taps of an output, in lines and pixels; none in the padding.
fn taps(x: &Exact, sweep: &Sweep, y: usize, xx: usize) -> Vec<Tap> {
    let mut taps = Vec::new();
    for ky in 0..sweep.kernel.0 as usize {
        for kx in 0..sweep.kernel.1 as usize {
            let at = |o: usize, stride: u32, k: usize, dilation: u32, pad: u32, size: usize| {
                (o * stride as usize + k * dilation as usize)
                    .checked_sub(pad as usize)
                    .filter(|i| *i < size)
            };
            let iy = at(
                y,
                sweep.stride.0,
                ky,
                sweep.dilation.0,
                sweep.pads[0],
                x.shape[2],
            );
            let ix = at(
                xx,
                sweep.stride.1,
                kx,
                sweep.dilation.1,
                sweep.pads[1],
                x.shape[3],
            );
            taps.push((ky, kx, iy.zip(ix)));
        }
    }
    taps
}

fn swept(x: &Exact, sweep: &Sweep, channels: usize) -> Vec<usize> {
    let size = |d: usize, pads: u32, kernel: u32, stride: u32, dilation: u32| {
        (x.shape[d] + pads as usize - dilation as usize * (kernel as usize - 1) - 1)
            / stride as usize
            + 1
    };
    let p = sweep.pads;
    vec![
        x.shape[0],
        channels,
        size(
            2,
            p[0] + p[2],
            sweep.kernel.0,
            sweep.stride.0,
            sweep.dilation.0,
        ),
        size(
            3,
            p[1] + p[3],
            sweep.kernel.1,
            sweep.stride.1,
            sweep.dilation.1,
        ),
    ]
}

fn conv(x: &Exact, w: &Exact, bias: Option<&Exact>, sweep: &Sweep, groups: u32) -> Exact {
    let outputs = w.shape[0];
    let (per_group, outputs_per_group) = (w.shape[1], outputs / groups as usize);
    Exact::make(&swept(x, sweep, outputs), |index| {
        let [n, o, y, xx] = index[..] else { panic!() };
        let mut sum = bias.map_or(Rational::zero(), |b| b.values[o].clone());
        for (ky, kx, at) in taps(x, sweep, y, xx) {
            let Some((iy, ix)) = at else { continue };
            for c in 0..per_group {
                let channel = o / outputs_per_group * per_group + c;
                sum += x.at(&[n, channel, iy, ix]) * w.at(&[o, c, ky, kx]);
            }
        }
        sum
    })
}

fn pool(x: &Exact, sweep: &Sweep, join: impl Fn(Vec<Rational>, usize) -> Rational) -> Exact {
    Exact::make(&swept(x, sweep, x.shape[1]), |index| {
        let [n, c, y, xx] = index[..] else { panic!() };
        let found = taps(x, sweep, y, xx);
        let kernel = found.len();
        let held = found.into_iter().filter_map(|t| t.2);
        join(
            held.map(|(iy, ix)| x.at(&[n, c, iy, ix]).clone()).collect(),
            kernel,
        )
    })
}

/// Builds graphs.
#[derive(Clone)]
pub struct Build {
    pub graph: Graph,
    count: usize,
}

impl Build {
    /// With an input `x`.
    pub fn new(shape: &[usize]) -> Self {
        let mut graph = Graph {
            name: "test".to_owned(),
            inputs: vec!["x".to_owned()],
            ..Graph::default()
        };
        graph.shapes.insert("x".to_owned(), shape.to_vec());
        Build { graph, count: 0 }
    }

    pub fn constant(&mut self, shape: &[usize], values: &[f32]) -> String {
        let array = ndarray::ArrayD::from_shape_vec(shape.to_vec(), values.to_vec()).unwrap();
        self.array(Array::F32(array.into_shared()))
    }

    pub fn array(&mut self, array: Array) -> String {
        self.count += 1;
        let name = format!("c{}", self.count);
        self.graph
            .shapes
            .insert(name.clone(), array.shape().to_vec());
        self.graph.constants.insert(name.clone(), array);
        name
    }

    pub fn scalar(&mut self, value: f32) -> String {
        self.constant(&[], &[value])
    }

    /// A node; its output has its name.
    pub fn node(&mut self, op: Op, inputs: &[&str]) -> String {
        self.count += 1;
        let name = format!("{}_{}", op.name(), self.count);
        self.graph.nodes.push(Node {
            name: name.clone(),
            op,
            inputs: inputs.iter().map(|i| (*i).to_owned()).collect(),
            output: name.clone(),
        });
        name
    }

    /// A quantizer.
    pub fn quant(&mut self, x: &str, levels: Levels, scale: f32, zero: f32) -> String {
        let (scale, zero) = (self.scalar(scale), self.scalar(zero));
        let round = Round::HalfEven;
        self.node(Op::Quant { levels, round }, &[x, &scale, &zero])
    }

    /// Names the outputs and gives every tensor its shape.
    pub fn finish(mut self, outputs: &[&str]) -> Graph {
        self.graph.outputs = outputs.iter().map(|o| (*o).to_owned()).collect();
        let shape = self.graph.shapes["x"].clone();
        let zeros = vec![0.0; shape.iter().product()];
        let tensors = evaluate(&self.graph, &Exact::floats(&shape, &zeros));
        for (name, tensor) in tensors {
            self.graph.shapes.insert(name, tensor.shape);
        }
        self.graph
    }
}
