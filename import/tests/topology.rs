//! Topologies: built-in networks against the published numbers, descriptions, SCALE-Sim files, and what runs of them.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use xnorforge_import::topology::{
    Kind, Problem, Source, Topology, TopologyError, Widths, builtin, description, scale_sim,
};
use xnorforge_sim::network::{
    LayerOutline, Outline, Place, Read, Rule, Shape, Tensor, TensorId, Window, Work, execute,
    number_of_step, reference, steps,
};
use xnorforge_sim::{Encoding, Precision};

const NO_WIDTHS: Widths = Widths {
    activation: None,
    weight: None,
    ends: None,
};

fn built_in(name: &str) -> Topology {
    builtin::topology(name, &NO_WIDTHS).unwrap().unwrap()
}

fn outline(topology: &Topology) -> Outline {
    let mut outlines = topology.outlines().unwrap();
    assert_eq!(outlines.len(), 1);
    outlines.remove(0)
}

/// MACs and weights of the convolutions and fully connected layers, and their output channels, which is how many biases
/// there are.
fn counts(name: &str) -> (u128, u64, u64) {
    let outline = outline(&built_in(name));
    let weighted = outline.layers.iter().filter(|l| l.weight().is_some());
    (
        outline.layers.iter().map(LayerOutline::macs).sum(),
        outline.layers.iter().map(LayerOutline::weights).sum(),
        weighted.map(|l| u64::from(l.output_shape.channels)).sum(),
    )
}

#[test]
fn lenet5_has_61_706_parameters() {
    // 5 x 5 x (1 x 6 + 6 x 16 + 16 x 120) + 120 x 84 + 84 x 10, and a bias for each output.
    assert_eq!(counts("lenet5"), (416_520, 61_470, 236));
}

#[test]
fn vgg16_has_138_million_parameters_and_15_5_billion_macs() {
    let (macs, weights, biases) = counts("vgg16");
    assert_eq!(macs, 15_470_264_320);
    assert_eq!(weights + biases, 138_357_544);
}

/// Parameters as torchvision counts them: of each convolution's batch norm two per channel, of the last layer a bias.
fn with_batch_norms(name: &str) -> u64 {
    let (_, weights, channels) = counts(name);
    let classes = 1000;
    weights + 2 * (channels - classes) + classes
}

#[test]
fn parameters_are_those_that_are_published() {
    assert_eq!(with_batch_norms("resnet18"), 11_689_512);
    assert_eq!(with_batch_norms("resnet50"), 25_557_032);
    assert_eq!(with_batch_norms("mobilenet-v1"), 4_231_976);
    assert_eq!(with_batch_norms("mobilenet-v2"), 3_504_872);
}

#[test]
fn macs_are_those_that_are_published() {
    // torchvision: 1.81, 4.09 and 0.30 billion; MobileNet's paper: 569 million.
    assert_eq!(counts("resnet18").0, 1_814_073_344);
    assert_eq!(counts("resnet50").0, 4_089_184_256);
    assert_eq!(counts("mobilenet-v1").0, 568_740_352);
    assert_eq!(counts("mobilenet-v2").0, 300_774_272);
}

#[test]
fn tiny_yolo_takes_6_97_billion_operations() {
    // Darknet counts a multiplication and an addition: 6.97 billion. 416 x 416 x 432, five times 208 x 208 x 4608 (each
    // pool quarters the pixels, each stage has four times the weights), 13 x 13 x (4,718,592 + 9,437,184 + 128,000).
    let (macs, weights, _) = counts("tiny-yolo");
    assert_eq!(2 * macs, 6_971_041_792);
    assert_eq!(weights, 15_855_536);
    let shapes = built_in("tiny-yolo").shapes().unwrap();
    assert_eq!(shapes.last(), Some(&Shape::new(13, 13, 125)));
}

#[test]
fn deeplab_has_20_5_million_parameters_on_a_map_of_an_eighth() {
    let (_, weights, _) = counts("deeplab-largefov");
    assert_eq!(weights, 20_499_136);
    let topology = built_in("deeplab-largefov");
    assert_eq!(
        topology.shapes().unwrap().last(),
        Some(&Shape::new(41, 41, 21))
    );
    let dilations: Vec<u32> = topology
        .layers
        .iter()
        .filter_map(|layer| match layer.kind {
            Kind::Conv { window, .. } if window.dilation != (1, 1) => Some(window.dilation.0),
            _ => None,
        })
        .collect();
    assert_eq!(dilations, [2, 2, 2, 12]);
}

#[test]
fn every_built_in_network_is_legal_and_has_an_origin() {
    for (name, origin) in builtin::NETWORKS {
        let outline = outline(&built_in(name));
        assert_eq!((outline.name.as_str(), outline.outputs.len()), (name, 1));
        assert!(!origin.is_empty());
    }
    assert!(builtin::topology("alexnet", &NO_WIDTHS).is_none());
}

#[test]
fn residual_blocks_become_residuals_of_their_last_convolutions() {
    let outline = outline(&built_in("resnet18"));
    // 20 convolutions, of which 3 shortcuts, two pools and a fully connected layer; no additions of their own.
    assert_eq!(outline.layers.len(), 20 + 3);
    let find = |name: &str| outline.layers.iter().position(|l| l.name == name).unwrap();
    let residual = |name: &str| outline.layers[find(name)].residual;
    assert_eq!(
        residual("layer1.0.conv2"),
        Some((TensorId::Layer(find("maxpool")), Place::Before))
    );
    assert_eq!(
        residual("layer2.0.conv2"),
        Some((TensorId::Layer(find("layer2.0.downsample")), Place::Before))
    );
    assert_eq!(
        residual("layer2.1.conv2"),
        Some((TensorId::Layer(find("layer2.0.conv2")), Place::Before))
    );
    assert_eq!(residual("layer2.1.conv1"), None);
    let blocks = outline.layers.iter().filter(|l| l.residual.is_some());
    assert_eq!(blocks.count(), 8);
}

#[test]
fn first_and_last_layers_keep_more_bits_where_asked() {
    let widths = Widths {
        activation: Some(1),
        weight: Some(3),
        ends: Some(8),
    };
    let topology = builtin::topology("resnet18", &widths).unwrap().unwrap();
    let outline = outline(&topology);
    let bits = |layer: &LayerOutline| (layer.activation.bits, layer.weight().unwrap().bits);
    assert_eq!(bits(&outline.layers[0]), (8, 8));
    assert_eq!(bits(&outline.layers[2]), (1, 3));
    assert_eq!(bits(outline.layers.last().unwrap()), (8, 8));
    // What is asked for reaches the layer that makes it: the average has 8 bits, by a multiplication.
    let average = &outline.layers[outline.layers.len() - 2];
    let precision = Precision::new(Encoding::Unsigned, 8);
    assert_eq!(average.rule, Rule::Affine { precision });
    // Without it, the first layer reads all bits of the image and the last one is like the others.
    let plain = self::outline(&built_in("resnet18"));
    assert_eq!(bits(&plain.layers[0]), (8, 2));
    assert_eq!(bits(plain.layers.last().unwrap()), (2, 2));
}

const SMALL: &str = r#"
[network]
name = "small"
input = [3, 9, 8]
input_bits = 4
weight_bits = 3

[[layer]]
name = "a"
kind = "conv"
out_channels = 6
kernel = [3, 5]
padding = [1, 2, 0, 2]
stride = [2, 1]

[[layer]]
name = "b"
kind = "conv"
out_channels = 6
kernel = 1
groups = 3
weight_bits = 1
weight_encoding = "bipolar"

[[layer]]
kind = "add"
name = "sum"
inputs = ["b", "a"]

[[layer]]
kind = "max_pool"
kernel = 2

[[layer]]
kind = "flatten"

[[layer]]
name = "out"
kind = "linear"
out_features = 5
activation_bits = 3
"#;

#[test]
fn a_description_is_read_as_it_says() {
    let topology = description::parse(SMALL, &NO_WIDTHS).unwrap();
    assert_eq!(topology.name, "small");
    let names: Vec<&str> = topology.layers.iter().map(|l| l.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "sum", "max_pool4", "flatten5", "out"]);
    assert_eq!(
        topology.layers[2].sources,
        [Source::Layer(1), Source::Layer(0)]
    );
    let shapes = topology.shapes().unwrap();
    // (9 + 1 - 3) / 2 + 1 lines of 8 + 2 + 2 - 5 + 1 pixels.
    assert_eq!(shapes[0], Shape::new(4, 8, 6));
    assert_eq!(shapes[3], Shape::new(2, 4, 6));
    assert_eq!(shapes[4], Shape::new(1, 1, 48));
    let unsigned = |bits| Precision::new(Encoding::Unsigned, bits);
    assert_eq!(topology.inputs[0].precision, unsigned(4));
    assert_eq!(topology.layers[0].activation, unsigned(4));
    assert_eq!(
        topology.layers[1].weight,
        Precision::new(Encoding::Bipolar, 1)
    );

    let outline = outline(&topology);
    let layers = &outline.layers;
    let names: Vec<&str> = layers.iter().map(|l| l.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "max_pool4", "out"]);
    assert_eq!(
        layers[1].residual,
        Some((TensorId::Layer(0), Place::Before))
    );
    // The sum is made with the bits that `out` reads behind the pool.
    assert_eq!(layers[1].output_precision(), Some(unsigned(3)));
    assert_eq!(layers[2].activation, unsigned(3));
    assert_eq!(layers[3].gemm(), [1, 48, 5]);
    assert!(matches!(layers[3].work, Work::Convolution { window, .. } if window.kernel == (2, 4)));
    assert_eq!(layers[3].rule, Rule::Raw);
}

#[test]
fn the_command_line_takes_the_place_of_the_network_s_bits_alone() {
    let widths = Widths {
        activation: Some(1),
        weight: Some(5),
        ends: None,
    };
    let topology = description::parse(SMALL, &widths).unwrap();
    let bits = |index: usize| {
        let layer = &topology.layers[index];
        (layer.activation.bits, layer.weight.bits)
    };
    assert_eq!((bits(0), bits(1), bits(5)), ((4, 5), (1, 1), (3, 5)));
}

#[test]
fn readers_of_fewer_bits_read_the_most_significant_branches() {
    let text = r#"
        network = { name = "n", input = [4], activation_bits = 4 }
        layer = [
            { name = "a", kind = "linear", out_features = 4 },
            { name = "b", kind = "linear", out_features = 4, activation_bits = 3 },
            { name = "c", kind = "linear", input = "a", out_features = 4, activation_bits = 1 },
            { name = "d", kind = "add", inputs = ["b", "c", "a"] },
        ]"#;
    let outline = outline(&description::parse(text, &NO_WIDTHS).unwrap());
    let bits = |index: usize| outline.layers[index].input.bits;
    // The sum wants all four bits of `a`.
    assert_eq!((bits(1), bits(2)), (Some(3), Some(1)));
    let names: Vec<&str> = outline.layers.iter().map(|l| l.name.as_str()).collect();
    // A sum of three becomes two sums.
    assert_eq!(names, ["a", "b", "c", "d.1", "d"]);
    assert_eq!(outline.layers[4].input, Read::from(TensorId::Layer(3)));
    assert_eq!(
        outline.layers[4].work,
        Work::SumPool(Window::square(1, 1, 0))
    );
    assert_eq!(outline.outputs, [TensorId::Layer(4)]);
}

/// Errors as a user sees them.
fn refused(text: &str) -> String {
    description::parse(text, &NO_WIDTHS)
        .unwrap_err()
        .in_file("net.toml")
        .to_string()
}

#[test]
fn wrong_descriptions_are_refused_with_line_layer_and_fix() {
    let with = |layer: &str| {
        format!("[network]\nname = \"n\"\ninput = [3, 8, 8]\n\n[[layer]]\nname = \"a\"\n{layer}\n")
    };
    let mut report = String::new();
    for text in [
        String::new(),
        "[network]\nname = \"n\"\n".to_owned(),
        "[network]\nname = \"n\"\ninput = [3, 8, 8]\n".to_owned(),
        "[network]\nname = \"n\"\ninput = [3, 8]\n[[layer]]\nkind = \"add\"\n".to_owned(),
        with("kind = \"conv\"\nout_chanels = 3"),
        with("kind = \"lstm\""),
        with("kind = \"conv\"\nout_channels = 3"),
        with("kind = \"conv\"\nout_channels = 3\nkernel = 9"),
        with("kind = \"conv\"\nout_channels = 3\nkernel = \"big\""),
        with("kind = \"conv\"\nout_channels = 3\nkernel = [1, 2, 3, 4]"),
        with("kind = \"conv\"\nout_channels = 3\nkernel = 3\ngroups = 2"),
        with("kind = \"conv\"\nout_channels = 0\nkernel = 3"),
        with("kind = \"conv\"\nout_channels = -4\nkernel = 3"),
        with("kind = \"conv\"\nout_channels = 3\nkernel = 3\nstride = 0"),
        with("kind = \"conv\"\nout_channels = 3\nkernel = 3\npadding = 4000000000"),
        with("kind = \"conv\"\nout_channels = 70000\nkernel = 3"),
        with("kind = \"max_pool\"\nkernel = 2\npadding = 2"),
        with("kind = \"max_pool\"\nkernel = 2\nout_channels = 2"),
        with("kind = \"linear\"\nout_features = 2\ninput = \"b\""),
        with("kind = \"linear\"\nout_features = 2\nweight_bits = 9"),
        with("kind = \"linear\"\nout_features = 2\nweight_encoding = \"ternary\"\nweight_bits = 3"),
        with("kind = \"linear\"\nout_features = 2\nactivation_bits = 3"),
        with("kind = \"linear\"\nout_features = 2\nactivation_encoding = \"bipolar\""),
        with("kind = \"add\"\ninputs = [\"input\"]"),
        with("kind = \"flatten\"\n[[layer]]\nkind = \"conv\"\nkernel = 1\nout_channels = 2"),
        with("kind = \"flatten\"\n[[layer]]\nname = \"a\"\nkind = \"flatten\""),
        with(
            "kind = \"max_pool\"\nkernel = 2\n[[layer]]\nkind = \"add\"\ninputs = [\"a\", \"input\"]",
        ),
    ] {
        report += &refused(&text);
        report.push('\n');
    }
    insta::assert_snapshot!(report);
}

#[test]
fn readers_that_want_two_encodings_are_refused() {
    let text = r#"
        network = { name = "n", input = [4] }
        layer = [
            { name = "a", kind = "linear", out_features = 4 },
            { name = "b", kind = "linear", out_features = 4 },
            { name = "c", kind = "linear", input = "a", out_features = 4, encoding = "signed" },
        ]"#;
    let error = description::parse(text, &NO_WIDTHS).unwrap_err();
    assert_eq!(error.layer, Some((0, "a".to_owned())));
    assert!(
        matches!(*error.problem, Problem::Encodings { .. }),
        "{error}"
    );
}

#[test]
fn scale_sim_convolutions_with_the_quirks_of_such_files() {
    let text = "\u{feff}Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,\n\
        \n\
        Conv1     ,224         ,224        ,7           ,7          ,3       ,64        ,2      ,\n\
        \tConv2_dw, 112, 112, 3, 3, 1, 1, 1,#dw\n\
        DP3, 9, 8, 3, 3, 16, 2, 2, 1,\n\
        FC, 1, 1, 1, 1, 1024, 1000, 1\n";
    let topology = scale_sim::parse("file", text, &NO_WIDTHS).unwrap();
    let outlines = topology.outlines().unwrap();
    let names: Vec<&str> = outlines.iter().map(|o| o.name.as_str()).collect();
    assert_eq!(names, ["Conv1", "Conv2_dw", "DP3", "FC"]);
    let layer = |index: usize| &outlines[index].layers[0];
    assert!(outlines.iter().all(|outline| outline.layers.len() == 1));
    // SCALE-Sim rounds up: (224 - 7 + 2) / 2 = 109.5.
    assert_eq!(layer(0).gemm(), [110 * 110, 147, 64]);
    assert_eq!(layer(1).gemm(), [110 * 110, 9, 1]);
    // Two filters on each of 16 channels, strides of 2 in y and 1 in x.
    assert_eq!(layer(2).output_shape, Shape::new(4, 6, 32));
    assert_eq!(
        (layer(2).kind(), layer(2).macs()),
        ("grouped", 4 * 6 * 32 * 9)
    );
    assert_eq!(layer(3).gemm(), [1, 1024, 1000]);
}

#[test]
fn scale_sim_products_are_m_n_k() {
    for text in [
        "Layer,M,N,K,\nL0,196,192,384,\n\n",
        "L0,196,192,384",
        "name,K,M,N\nL0,384,196,192",
    ] {
        let topology = scale_sim::parse("file", text, &NO_WIDTHS).unwrap();
        let outline = &topology.outlines().unwrap()[0];
        assert_eq!(outline.layers[0].gemm(), [196, 384, 192], "{text}");
    }
}

#[test]
fn wrong_scale_sim_files_are_refused_with_line_and_field() {
    let header = "Layer name, IFMAP Height, IFMAP Width, Filter Height, Filter Width, Channels, Num Filter, Strides,";
    let sparse = format!("{header} Sparsity\n");
    let rows = |rows: &str| format!("{header}\n{rows}");
    let mut report = String::new();
    for text in [
        String::new(),
        "a,b\n".to_owned(),
        rows("a, 4, 4, 3, 3, 1, 1\n"),
        rows("a, 4, 4, 3, 3, 1, x, 1\n"),
        rows("a, 4, 4, 3, 3, 1, 1, 0\n"),
        rows("a, 4, 4, 3, 3, 1, 1, 1\nb, 4, 4, 5, 3, 1, 1, 1"),
        rows("a, 4, 4, 3, 3, 1, 99999999999999999999, 1\n"),
        rows("a, 4, 4, 3, 3, 65535, 65535, 1\n"),
        sparse + "a, 4, 4, 3, 3, 1, 1, 1, 2:4",
        "Layer,M,N,K\na,1,2".to_owned(),
        "Layer,M,N,K\na,1,2,-3".to_owned(),
    ] {
        let error = scale_sim::parse("file", &text, &NO_WIDTHS).unwrap_err();
        report += &error.in_file("net.csv").to_string();
        report.push('\n');
    }
    insta::assert_snapshot!(report);
    let dense = format!("{header} Sparsity\na, 5, 5, 4, 4, 1, 4, 1, 1:1,");
    assert!(scale_sim::parse("file", &dense, &NO_WIDTHS).is_ok());
}

/// Random inputs of a network.
fn inputs(outline: &Outline, images: usize, rng: &mut ChaCha8Rng) -> Tensor {
    let mut tensor = Tensor::zeros(images, outline.input);
    let top = steps(outline.precision);
    for value in &mut tensor.values {
        *value = number_of_step(outline.precision, rng.random_range(0..top));
    }
    tensor
}

#[test]
fn random_networks_have_the_outline_that_they_were_made_from_and_run() {
    let seed = 5;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    for text in [
        SMALL,
        &SMALL.replace("weight_bits = 3", "encoding = \"bipolar\"\nweight_bits = 3"),
    ] {
        let topology = description::parse(text, &NO_WIDTHS).unwrap();
        let outline = outline(&topology);
        let network = topology.network(seed).unwrap();
        assert_eq!(network.outline().unwrap(), outline);
        assert_eq!(network, topology.network(seed).unwrap());
        assert_ne!(network, topology.network(seed + 1).unwrap());
        let input = inputs(&outline, 3, &mut rng);
        let trace = reference::execute(&network, &input).unwrap();
        assert_eq!(trace, execute::execute(&network, &input).unwrap());
        // Numbers are spread: no layer gives the same everywhere.
        for (layer, tensor) in outline.layers.iter().zip(&trace.outputs) {
            let first = tensor.values[0];
            assert!(tensor.values.iter().any(|v| *v != first), "{}", layer.name);
        }
    }
}

#[test]
fn layers_that_stand_alone_are_networks_of_their_own() {
    let text = "a,8,8,3,3,2,4,1\nb,4,4,1,1,8,4,1";
    let topology = scale_sim::parse("two", text, &NO_WIDTHS).unwrap();
    let networks = topology.networks(1).unwrap();
    assert_eq!(networks.len(), 2);
    assert_eq!(networks[1].input, Shape::new(4, 4, 8));
    let error: TopologyError = topology.network(1).unwrap_err();
    assert_eq!(*error.problem, Problem::NotOneNetwork(2));
}

#[test]
fn random_text_never_panics() {
    let seed = 11;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let csv = "a,8,8,3,3,2,4,1\nDP b,4,4,1,1,8,4,1,2,\n";
    for _ in 0..2000 {
        for text in [SMALL, csv] {
            let mut bytes = text.as_bytes().to_vec();
            for _ in 0..rng.random_range(1..6) {
                let at = rng.random_range(0..bytes.len());
                bytes[at] = b"0123456789,.-[]\"=\n ax"[rng.random_range(0..21)];
            }
            let text = String::from_utf8(bytes).unwrap();
            // A random topology may be legal; its network is made then.
            for topology in [
                description::parse(&text, &NO_WIDTHS),
                scale_sim::parse("random", &text, &NO_WIDTHS),
            ] {
                let small = topology.and_then(|topology| {
                    let outlines = topology.outlines()?;
                    let layers = outlines.iter().flat_map(|outline| &outline.layers);
                    let weights: u64 = layers.map(LayerOutline::weights).sum();
                    Ok((weights < 100_000).then_some(topology))
                });
                if let Ok(Some(topology)) = small {
                    let made = topology.networks(1);
                    assert!(made.is_ok(), "seed {seed}: {made:?}\n{text}");
                }
            }
        }
    }
}
