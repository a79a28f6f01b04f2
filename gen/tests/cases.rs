//! Real networks with stored integers of every layer: the reference executor, the packed kernels, and the compiled program
//! on the interpreter, on the cycle-accurate model (all 200 images) and on the Verilated RTL in lockstep with it give the
//! same. Verilator and g++ must be installed.
//!
//! Images: UCI Optical Recognition of Handwritten Digits (Alpaydin & Kaynak), CC BY 4.0; see the cases' READMEs.

use std::path::PathBuf;
use xnorforge::accelerate::{Compiled, Report};
use xnorforge::core_rig::{self, CoreRig, Ending};
use xnorforge::graph;
use xnorforge::io::ArrayFile;
use xnorforge_hdl::accelerator::AcceleratorConfig;
use xnorforge_hdl::{AcceleratorDesign, ArrayConfig};
use xnorforge_sim::accelerator::StreamStalls;
use xnorforge_sim::network::{
    Convolution, Layer, Network, Operation, Output, Pad, Place, Read, Requantize, Rescale,
    Residual, Rounding, Shape, Tensor, TensorId, Window, execute, reference,
};
use xnorforge_sim::program::Program;
use xnorforge_sim::program::interpreter::Interpreter;
use xnorforge_sim::{Encoding, Operand, Precision};

/// Images that the interpreter runs; reference and model run all 200.
const INTERPRETED: usize = 3;
/// Images that the RTL runs.
const VERILATED: usize = 5;

struct Case {
    network: Network,
    input: Tensor,
    /// Layer, whether its accumulators or its output, and the stored integers.
    expected: Vec<(usize, bool, Tensor)>,
}

fn open(case: &str, file: &str) -> ArrayFile {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../testbenches/cases");
    ArrayFile::open(&PathBuf::from(root).join(case).join(file)).unwrap()
}

fn stored(file: &ArrayFile, name: &str) -> Tensor {
    graph::images(&file.read(name).unwrap()).unwrap()
}

/// The preset `small` with memories for these cases, spatial branches as asked for.
fn design(activation_branches: u32, weight_branches: u32) -> AcceleratorDesign {
    let config = ArrayConfig {
        activation_branches,
        weight_branches,
        accelerator: AcceleratorConfig {
            stream_bits: 32,
            drain_columns: 2,
            ..AcceleratorConfig::default()
        },
        ..ArrayConfig::preset("small").unwrap()
    };
    AcceleratorDesign::new(&config.validate().unwrap()).unwrap()
}

/// The first images of a tensor.
fn first(tensor: &Tensor, images: usize) -> Tensor {
    Tensor {
        images,
        shape: tensor.shape,
        values: tensor.values[..images * tensor.shape.len()].to_vec(),
    }
}

fn check(case: &Case) {
    let trace = reference::execute(&case.network, &case.input).unwrap();
    for (layer, is_accumulator, expected) in &case.expected {
        let found = if *is_accumulator {
            &trace.accumulators[*layer]
        } else {
            &trace.outputs[*layer]
        };
        assert_eq!(found, expected, "reference, layer {layer}");
    }
    let fast = execute::execute(&case.network, &case.input).unwrap();
    assert_eq!(fast, trace, "packed kernels");
    check_core(case);
    let input = first(&case.input, INTERPRETED);
    for branches in [(1, 1), (2, 3)] {
        let design = design(branches.0, branches.1);
        for (layer, is_accumulator, expected) in &case.expected {
            let network = up_to(&case.network, *layer, *is_accumulator);
            let program = Program::compile(&design, INTERPRETED as u32, &network).unwrap();
            let mut interpreter = Interpreter::of_program(&program).unwrap();
            let entry = program.entry(&network.name).unwrap();
            let found = interpreter.run(entry, &input).unwrap();
            let expected = first(expected, INTERPRETED);
            assert_eq!(
                found,
                [expected],
                "interpreter, layer {layer}, {branches:?}"
            );
        }
    }
}

/// Every stored layer by the model, and by model and RTL in lockstep. One RTL runs all of the programs.
fn check_core(case: &Case) {
    let design = design(1, 1);
    let rig = CoreRig::new(xnorforge_hdl::generate_accelerator(&design).unwrap()).unwrap();
    for (layer, is_accumulator, expected) in &case.expected {
        let network = up_to(&case.network, *layer, *is_accumulator);
        let images = case.input.images;
        let compiled = [Compiled::new(&design, network, images, None).unwrap()];
        let ran = core_rig::step(&compiled, &case.input, None).unwrap();
        assert_eq!(
            ran[0].outputs.first(),
            Some(expected),
            "model, layer {layer}"
        );
        let cycles = Report::new(&compiled[0], images).total.cycles;
        assert_eq!(ran[0].cycles, cycles, "closed formula, layer {layer}");
        let input = first(&case.input, VERILATED);
        let ending = rig
            .run(&compiled, &input, &StreamStalls::NONE, None)
            .unwrap();
        let Ending::Done(ran) = ending else {
            panic!("layer {layer}: {ending:?}");
        };
        let expected = first(expected, VERILATED);
        assert_eq!(ran[0].outputs, [expected], "RTL, layer {layer}");
    }
}

/// The network as far as a layer, which gives its output or its accumulators.
fn up_to(network: &Network, layer: usize, is_accumulator: bool) -> Network {
    let mut network = network.clone();
    network.layers.truncate(layer + 1);
    network.outputs = vec![TensorId::Layer(layer)];
    if is_accumulator {
        network.layers[layer].output = Output::Raw;
        network.layers[layer].residual = None;
    }
    network
}

#[test]
fn odd_integers_of_mixed_precisions() {
    let case = "b_cnn_odd_mixed";
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../testbenches/cases");
    let network = graph::load(&PathBuf::from(root).join(case).join("model.npz"), None).unwrap();
    let test = open(case, "test.npz");
    let expected = [
        (0, true, "l1_acc"),
        (0, false, "l1_act"),
        (1, false, "l1_pool"),
        (2, true, "l2_acc"),
        (2, false, "l2_act"),
        (3, true, "l3_acc"),
    ];
    check(&Case {
        network,
        input: stored(&test, "x_codes"),
        expected: expected
            .map(|(layer, is_accumulator, name)| (layer, is_accumulator, stored(&test, name)))
            .to_vec(),
    });
}

/// Weights, thresholds and signs of a Brevitas case.
struct Brevitas {
    weights: ArrayFile,
    bits: u32,
}

impl Brevitas {
    fn convolution(&self, key: &str, window: Window) -> Operation {
        let array = self.weights.read(&format!("{key}.codes")).unwrap();
        let elements = array.shape[1..].iter().product();
        Operation::Convolution(Convolution {
            window,
            groups: 1,
            weights: self.operand(array.ints().unwrap(), array.shape[0], elements),
            bias: None,
            pad: Pad::Zero,
        })
    }

    fn operand(&self, values: &[i64], vectors: usize, elements: usize) -> Operand {
        let values = values.iter().map(|v| *v as i32).collect();
        let precision = Precision::new(Encoding::Signed, self.bits);
        Operand::new("weights", precision, vectors, elements, values).unwrap()
    }

    /// A product of `[inputs, outputs]` weights, the right-hand side of a MatMul.
    fn dense(&self, key: &str, input: Shape) -> Operation {
        let array = self.weights.read(&format!("{key}.codes")).unwrap();
        let (inputs, outputs) = (array.shape[0], array.shape[1]);
        let codes = array.ints().unwrap();
        let transposed: Vec<i64> = (0..outputs * inputs)
            .map(|i| codes[i % inputs * outputs + i / inputs])
            .collect();
        let weights = self.operand(&transposed, outputs, inputs);
        Operation::Convolution(Convolution::dense(input, weights))
    }

    /// Thresholds in this project's form: a sign of -1 means that the level is the number of thresholds that the
    /// accumulator does not exceed.
    fn thresholds(&self, key: &str, bits: u32) -> Requantize {
        let array = self.weights.read(&format!("{key}.thresholds")).unwrap();
        let signs = self.weights.read(&format!("{key}.sign")).unwrap();
        let falling: Vec<bool> = signs.ints().unwrap().iter().map(|s| *s == -1).collect();
        let lists = array.ints().unwrap().chunks(array.shape[1]);
        let thresholds = lists
            .zip(&falling)
            .map(|(list, falls)| {
                let mut list: Vec<i64> = list.iter().map(|t| t + i64::from(*falls)).collect();
                list.sort_unstable();
                list
            })
            .collect();
        Requantize::new(
            Precision::new(Encoding::Unsigned, bits),
            Rescale::Thresholds {
                thresholds,
                falling,
            },
        )
    }
}

fn layer(name: &str, input: TensorId, operation: Operation, output: Output) -> Layer {
    Layer {
        name: name.to_owned(),
        input: Read::from(input),
        operation,
        residual: None,
        output,
    }
}

#[test]
fn brevitas_convolutions_with_a_max_pool() {
    let case = "c2_bv_cnn_w2a2";
    let parameters = Brevitas {
        weights: open(case, "weights_int.npz"),
        bits: 2,
    };
    let codes = |key| Output::Codes(parameters.thresholds(key, 2));
    let pool = Operation::MaxPool(Window::square(2, 2, 0));
    let network = Network {
        name: case.to_owned(),
        input: Shape::new(8, 8, 1),
        precision: Precision::new(Encoding::Unsigned, 4),
        layers: vec![
            layer(
                "conv1",
                TensorId::Input,
                parameters.convolution("n01_Quant", Window::square(3, 1, 1)),
                codes("n07_Quant"),
            ),
            layer("pool1", TensorId::Layer(0), pool, Output::Raw),
            layer(
                "conv2",
                TensorId::Layer(1),
                parameters.convolution("n02_Quant", Window::square(3, 2, 1)),
                codes("n12_Quant"),
            ),
            layer(
                "dense",
                TensorId::Layer(2),
                parameters.dense("n03_Quant", Shape::new(2, 2, 32)),
                Output::Raw,
            ),
        ],
        outputs: vec![TensorId::Layer(3)],
    };
    let test = open(case, "test.npz");
    let expected = [
        (0, true, "n04_Conv"),
        (0, false, "n07_Quant"),
        (1, false, "n08_MaxPool"),
        (2, true, "n09_Conv"),
        (2, false, "n12_Quant"),
        (3, true, "n14_MatMul"),
    ];
    check(&Case {
        network,
        input: stored(&test, "n00_Quant"),
        expected: expected
            .map(|(layer, is_accumulator, name)| (layer, is_accumulator, stored(&test, name)))
            .to_vec(),
    });
}

#[test]
fn brevitas_residuals_and_an_average_pool() {
    let case = "c5_bv_res_w3a3";
    let parameters = Brevitas {
        weights: open(case, "weights_int.npz"),
        bits: 3,
    };
    let codes = |key| Output::Codes(parameters.thresholds(key, 3));
    // The residual is requantized to twice the scale first, ties to even; the sum has 4 bits.
    let mut sum = parameters.thresholds("n13_Quant", 4);
    sum.precision = Precision::new(Encoding::Unsigned, 4);
    let mut second = layer(
        "conv2",
        TensorId::Layer(0),
        parameters.convolution("n02_Quant", Window::square(3, 1, 1)),
        Output::Codes(sum),
    );
    second.residual = Some(Residual {
        tensor: TensorId::Layer(0),
        table: (0..8).map(|v| Rounding::HalfEven.shift(v, 1)).collect(),
        place: Place::After,
    });
    // The average, rounded down.
    let average = Output::Codes(Requantize::new(
        Precision::new(Encoding::Unsigned, 3),
        Rescale::Affine {
            multipliers: vec![1; 32],
            addends: vec![0; 32],
            shift: 4,
            rounding: Rounding::Floor,
        },
    ));
    let network = Network {
        name: case.to_owned(),
        input: Shape::new(8, 8, 1),
        precision: Precision::new(Encoding::Unsigned, 4),
        layers: vec![
            layer(
                "conv1",
                TensorId::Input,
                parameters.convolution("n01_Quant", Window::square(3, 1, 1)),
                codes("n08_Quant"),
            ),
            second,
            layer(
                "conv3",
                TensorId::Layer(1),
                parameters.convolution("n03_Quant", Window::square(3, 2, 1)),
                codes("n18_Quant"),
            ),
            layer(
                "average",
                TensorId::Layer(2),
                Operation::SumPool(Window::square(4, 1, 0)),
                average,
            ),
            layer(
                "dense",
                TensorId::Layer(3),
                parameters.dense("n04_Quant", Shape::new(1, 1, 32)),
                Output::Raw,
            ),
        ],
        outputs: vec![TensorId::Layer(4)],
    };
    let test = open(case, "test.npz");
    let expected = [
        (0, true, "n05_Conv"),
        (0, false, "n08_Quant"),
        (1, true, "n09_Conv"),
        (1, false, "n14_Add"),
        (2, true, "n15_Conv"),
        (2, false, "n18_Quant"),
        (3, true, "n19_AveragePool"),
        (3, false, "n20_Trunc"),
        (4, true, "n22_MatMul"),
    ];
    check(&Case {
        network,
        input: stored(&test, "n00_Quant"),
        expected: expected
            .map(|(layer, is_accumulator, name)| (layer, is_accumulator, stored(&test, name)))
            .to_vec(),
    });
}
