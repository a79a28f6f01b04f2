//! Random networks, compiled and interpreted, against the reference executor.

mod common;

use common::networks::{random_accelerator, random_network, reduced};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use xnorforge_hdl::accelerator::{DESCRIPTOR_WORDS, Descriptor, Field};
use xnorforge_hdl::{AcceleratorDesign, ArrayConfig};
use xnorforge_sim::network::{
    Convolution, Layer, Network, Operation, Output, Pad, Place, Read, Requantize, Rescale,
    Residual, Rounding, Shape, Tensor, TensorId, Window, execute, reference,
};
use xnorforge_sim::program::interpreter::{Interpreter, RunError};
use xnorforge_sim::program::{Beats, LOAD_WEIGHTS, Packet, Program, ProgramError, Target};
use xnorforge_sim::{Encoding, Operand, Precision};

/// What a network's program gives, by the interpreter.
fn interpret(program: &Program, network: &Network, input: &Tensor) -> Vec<Tensor> {
    let mut interpreter = Interpreter::of_program(program).unwrap();
    let entry = program.entry(&network.name).unwrap();
    interpreter.run(entry, input).unwrap()
}

fn expected(network: &Network, input: &Tensor) -> Vec<Tensor> {
    let trace = reference::execute(network, input).unwrap();
    trace.of_network(network, input)
}

#[test]
fn random_networks_give_what_the_reference_gives() {
    let (mut compiled, mut streamed) = (0, 0);
    for seed in 0..200 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let design = random_accelerator(&mut rng);
        let images = rng.random_range(1..=3);
        let (network, input) = random_network(&mut rng, &design, images);
        assert_eq!(
            execute::outputs(&network, &input).unwrap(),
            expected(&network, &input),
            "execute, seed {seed}: {network:?}"
        );
        let program = match Program::compile(&design, images as u32, &network) {
            Ok(program) => program,
            Err(error) => {
                println!("seed {seed}: {error}");
                continue;
            }
        };
        compiled += 1;
        streamed += usize::from(program.entry(LOAD_WEIGHTS).is_none());
        let found = interpret(&program, &network, &input);
        assert_eq!(
            found,
            expected(&network, &input),
            "seed {seed}: {:?}, {images} images of {network:?}",
            design.design().config()
        );
    }
    println!("{compiled} of 200 compiled, {streamed} of them stream their weights");
    assert!(compiled > 150 && streamed > 10, "{compiled}, {streamed}");
}

#[test]
fn fewer_branches_of_the_same_memories_are_an_entry_of_their_own() {
    let (mut compiled, mut shared) = (0, 0);
    for seed in 1000..1100 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let design = random_accelerator(&mut rng);
        let (network, input) = random_network(&mut rng, &design, 1);
        let low = reduced(&mut rng, &network);
        let program = match Program::compile_all(&design, 1, &[&network, &low]) {
            Ok(program) => program,
            Err(error) => {
                println!("seed {seed}: {error}");
                continue;
            }
        };
        compiled += 1;
        for network in [&network, &low] {
            let found = interpret(&program, network, &input);
            let name = &network.name;
            assert_eq!(
                found,
                expected(network, &input),
                "seed {seed}, {name}: {:?} {network:?}",
                design.design().config()
            );
        }
        let alone = Program::compile(&design, 1, &network).unwrap();
        let words = |program: &Program| {
            let entry = program.entry(LOAD_WEIGHTS)?;
            Some(entry.weights[0].len())
        };
        shared += usize::from(words(&program).is_some() && words(&program) == words(&alone));
    }
    println!("{compiled} of 100 compiled, {shared} share all weights");
    assert!(compiled > 40 && shared > 10, "{compiled}, {shared}");
}

#[test]
fn a_program_takes_input_after_input() {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let design = random_accelerator(&mut rng);
    let (network, input) = random_network(&mut rng, &design, 2);
    let program = Program::compile(&design, 2, &network).unwrap();
    let mut interpreter = Interpreter::of_program(&program).unwrap();
    let entry = program.entry(&network.name).unwrap();
    for _ in 0..3 {
        let found = interpreter.run(entry, &input).unwrap();
        assert_eq!(found, expected(&network, &input));
    }
}

#[test]
fn what_does_not_fit_is_refused_with_numbers() {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let design = random_accelerator(&mut rng);
    let (network, _) = random_network(&mut rng, &design, 1);
    assert_eq!(
        Program::compile(&design, 0, &network),
        Err(ProgramError::Images(0))
    );
    assert_eq!(
        Program::compile_all(&design, 1, &[&network, &network]),
        Err(ProgramError::Name("random".to_owned()))
    );
    let mut array = design.design().config().clone();
    array.accelerator.activation_words = 2;
    let small = xnorforge_hdl::AcceleratorDesign::new(&array.validate().unwrap()).unwrap();
    let error = Program::compile(&small, 1, &network).unwrap_err();
    assert!(
        matches!(
            error,
            ProgramError::Memory { field: "activation_words", available: 2, needed, suggestion, .. }
                if needed > 2 && suggestion >= needed
        ),
        "{error}"
    );
}

#[test]
fn networks_that_are_not_legal_are_refused_and_never_panic() {
    use xnorforge_sim::network::{LayerError, NetworkError};
    let precision = Precision::new(Encoding::Bipolar, 2);
    let operand = |vectors, elements| {
        Operand::new(
            "weights",
            precision,
            vectors,
            elements,
            vec![1; vectors * elements],
        )
        .unwrap()
    };
    let legal = Network {
        name: "n".to_owned(),
        input: Shape::new(4, 4, 2),
        precision,
        layers: vec![Layer {
            name: "l".to_owned(),
            input: Read::from(TensorId::Input),
            operation: Operation::Convolution(Convolution {
                window: Window::square(3, 1, 1),
                groups: 1,
                weights: operand(3, 18),
                bias: None,
                pad: Pad::Zero,
            }),
            residual: None,
            output: Output::Raw,
        }],
        outputs: vec![TensorId::Layer(0)],
    };
    legal.check().unwrap();
    let refused = |change: &dyn Fn(&mut Network)| {
        let mut network = legal.clone();
        change(&mut network);
        let error = network.check().unwrap_err();
        let design = random_accelerator(&mut ChaCha8Rng::seed_from_u64(1));
        let compiled = Program::compile(&design, 1, &network);
        assert_eq!(compiled, Err(ProgramError::Network(error.clone())));
        match error {
            NetworkError::Layer { source, .. } => *source,
            NetworkError::Ends(source) => source,
        }
    };
    let window = |network: &mut Network, window: Window| {
        network.layers[0].operation = Operation::MaxPool(window);
    };
    type Change<'a> = &'a dyn Fn(&mut Network);
    let changes: [(&str, Change<'_>); 12] = [
        ("Range", &|n| window(n, Window::square(0, 1, 0))),
        ("Range", &|n| window(n, Window::square(1, 0, 0))),
        ("Range", &|n| window(n, Window::square(1, u32::MAX, 0))),
        ("Kernel", &|n| window(n, Window::square(5, 1, 0))),
        ("EmptyWindow", &|n| window(n, Window::square(1, 1, 1))),
        ("Range", &|n| n.input = Shape::new(65_535, 65_535, 65_535)),
        ("Length", &|n| n.input.channels = 3),
        ("Order", &|n| {
            n.layers[0].input = Read::from(TensorId::Layer(0))
        }),
        ("Truncate", &|n| n.layers[0].input.bits = Some(3)),
        ("Empty", &|n| n.outputs.clear()),
        ("OutputTwice", &|n| n.outputs = vec![TensorId::Layer(0); 2]),
        ("Order", &|n| n.outputs = vec![TensorId::Layer(1)]),
    ];
    for (expected, change) in changes {
        let found: LayerError = refused(change);
        assert!(format!("{found:?}").starts_with(expected), "{found:?}");
    }
}

/// A product of two numbers for each of two channels, by weights 1 and -3, over all sixteen inputs that 2 bits have.
struct Pointwise {
    encoding: Encoding,
    bias: i64,
    /// What the first code of the residual, which is the input, adds; the others add nothing.
    residual: Option<(i64, Place)>,
    output: Output,
}

impl Pointwise {
    /// On 2-bit `bipolar` numbers, whose products lie in -12..=12; raw.
    fn bipolar() -> Self {
        Pointwise {
            encoding: Encoding::Bipolar,
            bias: 0,
            residual: None,
            output: Output::Raw,
        }
    }

    /// With a multiplier and an addend for both channels.
    fn affine(multiplier: i64, addend: i64, shift: u32, rounding: Rounding) -> Self {
        let rescale = Rescale::Affine {
            multipliers: vec![multiplier; 2],
            addends: vec![addend; 2],
            shift,
            rounding,
        };
        let precision = Precision::new(Encoding::Unsigned, 2);
        Pointwise {
            output: Output::Codes(Requantize::new(precision, rescale)),
            ..Self::bipolar()
        }
    }

    fn offset(mut self, offset: i64) -> Self {
        if let Output::Codes(requantize) = &mut self.output {
            requantize.offset = offset;
        }
        self
    }

    fn network(&self) -> (Network, Tensor) {
        let shape = Shape::new(1, 1, 2);
        let weights = Precision::new(Encoding::Bipolar, 2);
        let layer = Layer {
            name: "layer".to_owned(),
            input: Read::from(TensorId::Input),
            operation: Operation::Convolution(Convolution {
                window: Window::square(1, 1, 0),
                groups: 1,
                weights: Operand::new("weights", weights, 2, 2, vec![1, -3, 1, -3]).unwrap(),
                bias: Some(vec![self.bias; 2]),
                pad: Pad::Zero,
            }),
            residual: self.residual.map(|(first, place)| Residual {
                tensor: TensorId::Input,
                table: vec![first, 0, 0, 0],
                place,
            }),
            output: self.output.clone(),
        };
        let network = Network {
            name: "limits".to_owned(),
            input: shape,
            precision: Precision::new(self.encoding, 2),
            layers: vec![layer],
            outputs: vec![TensorId::Layer(0)],
        };
        let number = |step: i64| match self.encoding {
            Encoding::Bipolar => 2 * step - 3,
            _ => step,
        };
        let input = Tensor {
            images: 16,
            shape,
            values: (0..16)
                .flat_map(|i| [number(i / 4), number(i % 4)])
                .collect(),
        };
        (network, input)
    }
}

/// What is just inside the widths of the epilogue is right, and what is just outside is refused, on both sides.
#[test]
fn values_at_the_limits_of_the_epilogue() {
    let array = ArrayConfig::preset("tiny").unwrap().validate().unwrap();
    let design = AcceleratorDesign::new(&array).unwrap();
    // Results of 13 bits, requantized values of 29; -2^12 and -2^28 are kept free.
    assert_eq!((array.result_width, design.product_width), (13, 29));
    let (bracket, value, product, step) = (
        "the sum inside the epilogue",
        "the accumulator with its residual",
        "the requantized value",
        "the step with its offset",
    );
    const MOST: i64 = (1 << 28) - 1;
    type Build = fn(i64) -> Pointwise;
    type End = Option<(i64, &'static str)>;
    let cases: [(&str, Build, End, End); 11] = [
        (
            "bias; one above the largest sum is a threshold that is never reached",
            |p| Pointwise {
                bias: p,
                ..Pointwise::bipolar()
            },
            Some((-4095 + 12, bracket)),
            Some((4095 - 12 - 1, value)),
        ),
        (
            "bias beside products in -9..=3, which the bracket holds twice",
            |p| Pointwise {
                encoding: Encoding::Unsigned,
                bias: p,
                ..Pointwise::bipolar()
            },
            Some((-2047 + 9, bracket)),
            Some((2047 - 3, bracket)),
        ),
        (
            "residual of raw results",
            |p| Pointwise {
                residual: Some((p, Place::Before)),
                ..Pointwise::bipolar()
            },
            Some((-4095 + 12, value)),
            Some((4095 - 12 - 1, value)),
        ),
        (
            "residual before a multiplication",
            |p| Pointwise {
                residual: Some((p, Place::Before)),
                ..Pointwise::affine(1, 0, 4, Rounding::Floor)
            },
            Some((-4095 + 12, value)),
            Some((4095 - 12, value)),
        ),
        (
            "residual after it",
            |p| Pointwise {
                residual: Some((p, Place::After)),
                ..Pointwise::affine(1000, 0, 0, Rounding::Floor)
            },
            Some((12_000 - MOST, product)),
            Some((MOST - 12_000, product)),
        ),
        (
            "addend",
            |p| Pointwise::affine(1000, p, 0, Rounding::HalfUp),
            Some((12_000 - MOST, product)),
            Some((MOST - 12_000, product)),
        ),
        (
            "addend beside a negative multiplier",
            |p| Pointwise::affine(-1000, p, 0, Rounding::HalfUp),
            Some((12_000 - MOST, product)),
            Some((MOST - 12_000, product)),
        ),
        (
            "addend, and half of the last place in case it rounds",
            |p| Pointwise::affine(1000, p, 4, Rounding::Floor),
            Some((12_000 - MOST, product)),
            Some((MOST - 12_000 - 8, product)),
        ),
        (
            "addend with half of the last place in it",
            |p| Pointwise::affine(1000, p, 4, Rounding::HalfUp),
            Some((12_000 - 8 - MOST, product)),
            Some((MOST - 12_000 - 8 - 8, product)),
        ),
        (
            "offset of large steps",
            |p| Pointwise::affine(1000, MOST - 12_050, 0, Rounding::Floor).offset(p),
            None,
            Some((50, step)),
        ),
        (
            "offset of small steps",
            |p| Pointwise::affine(1000, 12_050 - MOST, 0, Rounding::Floor).offset(p),
            Some((-50, step)),
            None,
        ),
    ];
    for (what, build, low, high) in cases {
        for (end, outside) in [(low, -1), (high, 1)] {
            let Some((last, field)) = end else { continue };
            let (network, input) = build(last).network();
            let program = Program::compile(&design, 16, &network)
                .unwrap_or_else(|error| panic!("{what}, {last}: {error}"));
            assert_eq!(
                interpret(&program, &network, &input),
                expected(&network, &input),
                "{what}, {last}"
            );
            let (network, _) = build(last + outside).network();
            let error = Program::compile(&design, 16, &network).unwrap_err();
            assert!(
                matches!(
                    error,
                    ProgramError::Value { what: found, magnitude, limit, channel: 0, .. }
                        if found == field && magnitude > limit && magnitude <= limit + 2
                ),
                "{what}, {}: {error}",
                last + outside
            );
        }
    }
}

/// How often a descriptor visits a granule, at most.
fn visits(descriptor: &Descriptor, rows: u32) -> u64 {
    let fields = [
        Field::KernelLines,
        Field::Runs,
        Field::RunGranules,
        Field::RowTiles,
        Field::ColumnTiles,
        Field::ScheduleSteps,
        Field::Chunks,
        Field::OutWidth,
        Field::OutHeight,
    ];
    let counts = fields.map(|field| (descriptor.get(field) as u64).max(1));
    counts.into_iter().fold(rows.into(), u64::saturating_mul)
}

/// A packet with one thing changed: a bit, a word, its place.
fn alter(rng: &mut ChaCha8Rng, packet: &mut Packet) {
    let word = rng.random_range(0..packet.words.len());
    match rng.random_range(0..6) {
        0 | 1 => packet.words[word] ^= 1 << rng.random_range(0..32),
        2 => packet.words[word] = rng.random(),
        3 => packet.words[word] = [0, 1, u128::MAX][rng.random_range(0..3)],
        4 => packet.address = [packet.address ^ 1, u32::MAX][rng.random_range(0..2)],
        _ => packet.lane ^= 1,
    }
}

/// Whatever a program holds, the interpreter gives results or a fault.
#[test]
fn altered_programs_end_in_results_or_in_a_fault() {
    let (mut ran, mut refused, mut long) = (0, 0, 0);
    for seed in 0..40 {
        let mut rng = ChaCha8Rng::seed_from_u64(7000 + seed);
        let design = random_accelerator(&mut rng);
        let (network, input) = random_network(&mut rng, &design, 1);
        let Ok(program) = Program::compile(&design, 1, &network) else {
            continue;
        };
        let entry = program.entry(&network.name).unwrap();
        for _ in 0..60 {
            let mut packets = program.packets().to_vec();
            let altered = rng.random_range(0..packets.len());
            alter(&mut rng, &mut packets[altered]);
            let rows = design.design().config().rows;
            let words = &packets.iter().find(|p| p.target == Target::Program);
            let words: Vec<u32> = words.unwrap().words.iter().map(|w| *w as u32).collect();
            let is_long = words.chunks_exact(DESCRIPTOR_WORDS as usize).any(|words| {
                visits(&Descriptor::from_words(words.try_into().unwrap()), rows) > 200_000
            });
            if is_long {
                long += 1;
                continue;
            }
            let mut interpreter = Interpreter::new(&design);
            let loaded = packets.iter().try_for_each(|p| interpreter.load(p));
            let ended = loaded.map_err(RunError::from).and_then(|()| {
                if let Some(load) = program.entry(LOAD_WEIGHTS) {
                    interpreter.run_alone(load)?;
                }
                interpreter.run(entry, &input)
            });
            match ended {
                Ok(_) => ran += 1,
                Err(RunError::Fault(fault)) => {
                    refused += 1;
                    assert!(!fault.to_string().is_empty());
                }
                // A run that streams more or less than the entry says.
                Err(RunError::Program(ProgramError::Results { .. })) => refused += 1,
                Err(error) => panic!("seed {seed}: {error}"),
            }
        }
    }
    println!("{ran} ran, {refused} were refused, {long} would take too long");
    assert!(ran > 200 && refused > 200, "{ran} {refused} {long}");
}

/// A fault leaves nothing behind that the next run would take.
#[test]
fn the_run_after_a_fault_is_right() {
    let (design, network, input, program) = (0..)
        .find_map(|seed| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let design = random_accelerator(&mut rng);
            let (network, input) = random_network(&mut rng, &design, 1);
            let program = Program::compile(&design, 1, &network).ok()?;
            let entry = program.entry(&network.name)?;
            (!entry.weights.is_empty()).then_some((design, network, input, program))
        })
        .unwrap();
    let mut interpreter = Interpreter::of_program(&program).unwrap();
    let entry = program.entry(&network.name).unwrap();
    let mut early = entry.clone();
    let last = early.weights.len() - 1;
    let bits = design.config().stream_bits;
    early.weights[last] = Beats::new(bits);
    let fault = interpreter.run(&early, &input).unwrap_err();
    assert!(matches!(fault, RunError::Fault(_)), "{fault}");
    assert_eq!(
        interpreter.run(entry, &input).unwrap(),
        expected(&network, &input)
    );
    let mut outside = entry.clone();
    outside.results[0].output = 99;
    let values = outside.result_values() as usize;
    assert_eq!(outside.unpack(&vec![0; values]), Err(ProgramError::Blocks));
    assert_eq!(interpreter.activation_words(u32::MAX, 2), None);
    assert!(interpreter.activation_words(0, 2).is_some());
}
