//! Well-known networks, layer by layer as they were published.
//!
//! Biases and batch norms are no layers: they are folded into thresholds. Images have 8 bits, all that follows the bits
//! that [`Widths`] asks for, `unsigned` activations and `signed` weights.

use super::{IMAGE_BITS, Input, Kind, Layer, Source, Topology, TopologyError, Widths};
use xnorforge_sim::network::{Padding, Shape, Window};
use xnorforge_sim::{Encoding, Precision};

/// Name and origin of every built-in network.
pub const NETWORKS: [(&str, &str); 8] = [
    (
        "lenet5",
        "LeNet-5 for 32 x 32 pixels (LeCun et al., 1998), its second convolution on all maps",
    ),
    ("vgg16", "VGG-16, configuration D (arXiv 1409.1556)"),
    ("resnet18", "ResNet-18 (arXiv 1512.03385)"),
    (
        "resnet50",
        "ResNet-50 (arXiv 1512.03385), the stride in the 3 x 3 convolutions as in torchvision (V1.5)",
    ),
    ("mobilenet-v1", "MobileNet, width 1.0 (arXiv 1704.04861)"),
    ("mobilenet-v2", "MobileNetV2, width 1.0 (arXiv 1801.04381)"),
    (
        "tiny-yolo",
        "Tiny YOLOv2 for the 20 classes of PASCAL VOC, 416 x 416 pixels (arXiv 1612.08242)",
    ),
    (
        "deeplab-largefov",
        "DeepLab-LargeFOV: VGG-16 with dilated convolutions, 321 x 321 pixels (arXiv 1412.7062)",
    ),
];

/// A built-in network by name; none if there is none of that name.
///
/// # Errors
/// Bits that do not exist.
pub fn topology(name: &str, widths: &Widths) -> Option<Result<Topology, TopologyError>> {
    let build = match name {
        "lenet5" => lenet5,
        "vgg16" => vgg16,
        "resnet18" => resnet18,
        "resnet50" => resnet50,
        "mobilenet-v1" => mobilenet_v1,
        "mobilenet-v2" => mobilenet_v2,
        "tiny-yolo" => tiny_yolo,
        "deeplab-largefov" => deeplab_largefov,
        _ => return None,
    };
    let mut topology = build(Builder::new(name, widths)).topology;
    if let Some(bits) = widths.ends {
        topology.widen_ends(bits);
    }
    Some(topology.outlines().map(|_| topology))
}

/// Adds layer after layer.
struct Builder {
    topology: Topology,
    activation: Precision,
    weight: Precision,
    last: Source,
}

impl Builder {
    fn new(name: &str, widths: &Widths) -> Self {
        Builder {
            topology: Topology {
                name: name.to_owned(),
                inputs: Vec::new(),
                layers: Vec::new(),
            },
            activation: Widths::precision(Encoding::Unsigned, widths.activation),
            weight: Widths::precision(Encoding::Signed, widths.weight),
            last: Source::Input(0),
        }
    }

    /// The input: images of `size` x `size` pixels.
    fn images(mut self, size: u32, channels: u32) -> Self {
        self.topology.inputs.push(Input {
            shape: Shape::new(size, size, channels),
            precision: Precision::new(Encoding::Unsigned, IMAGE_BITS),
        });
        self
    }

    /// A layer on `sources`, which the next one reads.
    fn on(&mut self, sources: &[Source], name: impl Into<String>, kind: Kind) -> Source {
        let activation = match sources {
            [Source::Input(input)] => self.topology.inputs[*input].precision,
            _ => self.activation,
        };
        self.topology.layers.push(Layer {
            name: name.into(),
            sources: sources.to_vec(),
            kind,
            activation,
            weight: self.weight,
        });
        self.last = Source::Layer(self.topology.layers.len() - 1);
        self.last
    }

    /// A layer on the one before.
    fn then(&mut self, name: impl Into<String>, kind: Kind) -> Source {
        self.on(&[self.last], name, kind)
    }

    /// A convolution with a square kernel and padding that keeps the size, but for the stride.
    fn conv(&mut self, name: impl Into<String>, outputs: u32, kernel: u32, stride: u32) -> Source {
        self.then(name, conv(outputs, kernel, stride))
    }

    /// A depthwise convolution of 3 x 3.
    fn depthwise(&mut self, name: impl Into<String>, channels: u32, stride: u32) -> Source {
        let kind = Kind::Conv {
            outputs: channels,
            window: Window::square(3, stride, 1),
            groups: channels,
        };
        self.then(name, kind)
    }

    fn max_pool(&mut self, name: impl Into<String>, kernel: u32, stride: u32, padding: u32) {
        let window = Window::square(kernel, stride, padding);
        self.then(name, Kind::MaxPool(window));
    }

    fn linear(&mut self, name: impl Into<String>, outputs: u32) {
        self.then(name, Kind::Linear { outputs });
    }
}

fn conv(outputs: u32, kernel: u32, stride: u32) -> Kind {
    Kind::Conv {
        outputs,
        window: Window::square(kernel, stride, kernel / 2),
        groups: 1,
    }
}

fn dilated(outputs: u32, dilation: u32) -> Kind {
    Kind::Conv {
        outputs,
        window: Window {
            dilation: (dilation, dilation),
            ..Window::square(3, 1, dilation)
        },
        groups: 1,
    }
}

fn lenet5(builder: Builder) -> Builder {
    let mut b = builder.images(32, 1);
    let conv = |outputs| Kind::Conv {
        outputs,
        window: Window::square(5, 1, 0),
        groups: 1,
    };
    let pool = Kind::AveragePool(Window::square(2, 2, 0));
    b.then("c1", conv(6));
    b.then("s2", pool);
    b.then("c3", conv(16));
    b.then("s4", pool);
    b.then("c5", conv(120));
    b.linear("f6", 84);
    b.linear("output", 10);
    b
}

/// The convolutions of VGG-16's stages: how many, and their channels.
const VGG_STAGES: [(u32, u32); 5] = [(2, 64), (2, 128), (3, 256), (3, 512), (3, 512)];

fn vgg16(builder: Builder) -> Builder {
    let mut b = builder.images(224, 3);
    for (stage, (count, channels)) in (1..).zip(VGG_STAGES) {
        for index in 1..=count {
            b.conv(format!("conv{stage}_{index}"), channels, 3, 1);
        }
        b.max_pool(format!("pool{stage}"), 2, 2, 0);
    }
    b.linear("fc6", 4096);
    b.linear("fc7", 4096);
    b.linear("fc8", 1000);
    b
}

/// Blocks of ResNets.
#[derive(Clone, Copy)]
enum Block {
    /// Two convolutions of 3 x 3.
    Basic,
    /// Convolutions of 1 x 1, 3 x 3 and 1 x 1, the last one with four times the channels.
    Bottleneck,
}

fn resnet18(builder: Builder) -> Builder {
    resnet(builder, Block::Basic, [2, 2, 2, 2])
}

fn resnet50(builder: Builder) -> Builder {
    resnet(builder, Block::Bottleneck, [3, 4, 6, 3])
}

fn resnet(builder: Builder, block: Block, blocks: [u32; 4]) -> Builder {
    let mut b = builder.images(224, 3);
    b.conv("conv1", 64, 7, 2);
    b.max_pool("maxpool", 3, 2, 1);
    let mut inputs = 64;
    for (stage, count) in blocks.into_iter().enumerate() {
        let channels = 64 << stage;
        for index in 0..count {
            let stride = if stage > 0 && index == 0 { 2 } else { 1 };
            let name = format!("layer{}.{index}", stage + 1);
            inputs = residual_block(&mut b, block, &name, (inputs, channels), stride);
        }
    }
    b.then("avgpool", Kind::GlobalAveragePool);
    b.linear("fc", 1000);
    b
}

/// A block; how many channels it gives. The shortcut comes first, so that the last convolution can take it up.
fn residual_block(
    b: &mut Builder,
    block: Block,
    name: &str,
    (inputs, channels): (u32, u32),
    stride: u32,
) -> u32 {
    let start = b.last;
    let outputs = match block {
        Block::Basic => channels,
        Block::Bottleneck => 4 * channels,
    };
    let shortcut = if stride != 1 || inputs != outputs {
        b.conv(format!("{name}.downsample"), outputs, 1, stride)
    } else {
        start
    };
    let last = match block {
        Block::Basic => {
            b.on(&[start], format!("{name}.conv1"), conv(channels, 3, stride));
            b.conv(format!("{name}.conv2"), channels, 3, 1)
        }
        Block::Bottleneck => {
            b.on(&[start], format!("{name}.conv1"), conv(channels, 1, 1));
            b.conv(format!("{name}.conv2"), channels, 3, stride);
            b.conv(format!("{name}.conv3"), outputs, 1, 1)
        }
    };
    b.on(&[last, shortcut], format!("{name}.add"), Kind::Add);
    outputs
}

fn mobilenet_v1(builder: Builder) -> Builder {
    let mut b = builder.images(224, 3);
    b.conv("conv1", 32, 3, 2);
    let mut inputs = 32;
    let blocks = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)]
        .into_iter()
        .chain([(512, 1); 5])
        .chain([(1024, 2), (1024, 1)]);
    for (index, (outputs, stride)) in (2..).zip(blocks) {
        b.depthwise(format!("conv{index}.dw"), inputs, stride);
        b.conv(format!("conv{index}.pw"), outputs, 1, 1);
        inputs = outputs;
    }
    b.then("avgpool", Kind::GlobalAveragePool);
    b.linear("fc", 1000);
    b
}

/// Expansion, channels, repetitions and stride of the stages of MobileNetV2.
const MOBILENET_V2_STAGES: [(u32, u32, u32, u32); 7] = [
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
];

fn mobilenet_v2(builder: Builder) -> Builder {
    let mut b = builder.images(224, 3);
    b.conv("conv0", 32, 3, 2);
    let mut inputs = 32;
    let mut number = 0;
    for (expansion, outputs, count, stride) in MOBILENET_V2_STAGES {
        for index in 0..count {
            number += 1;
            let start = b.last;
            let hidden = expansion * inputs;
            let stride = if index == 0 { stride } else { 1 };
            if expansion > 1 {
                b.conv(format!("block{number}.expand"), hidden, 1, 1);
            }
            b.depthwise(format!("block{number}.dw"), hidden, stride);
            let last = b.conv(format!("block{number}.project"), outputs, 1, 1);
            if stride == 1 && inputs == outputs {
                b.on(&[last, start], format!("block{number}.add"), Kind::Add);
            }
            inputs = outputs;
        }
    }
    b.conv("conv_last", 1280, 1, 1);
    b.then("avgpool", Kind::GlobalAveragePool);
    b.linear("fc", 1000);
    b
}

fn tiny_yolo(builder: Builder) -> Builder {
    let mut b = builder.images(416, 3);
    for (number, channels) in (1..).zip([16, 32, 64, 128, 256, 512]) {
        b.conv(format!("conv{number}"), channels, 3, 1);
        // The last pool keeps the size: one line and one pixel of padding, behind the map.
        let last = Window {
            padding: Padding {
                bottom: 1,
                right: 1,
                ..Padding::default()
            },
            ..Window::square(2, 1, 0)
        };
        let window = match number {
            6 => last,
            _ => Window::square(2, 2, 0),
        };
        b.then(format!("pool{number}"), Kind::MaxPool(window));
    }
    b.conv("conv7", 1024, 3, 1);
    b.conv("conv8", 1024, 3, 1);
    // Five boxes of four coordinates, a confidence and 20 classes.
    b.conv("conv9", 5 * (4 + 1 + 20), 1, 1);
    b
}

fn deeplab_largefov(builder: Builder) -> Builder {
    let mut b = builder.images(321, 3);
    for (stage, (count, channels)) in (1..).zip(VGG_STAGES) {
        let dilation = if stage == 5 { 2 } else { 1 };
        for index in 1..=count {
            b.then(format!("conv{stage}_{index}"), dilated(channels, dilation));
        }
        let stride = if stage < 4 { 2 } else { 1 };
        b.max_pool(format!("pool{stage}"), 3, stride, 1);
    }
    b.then("fc6", dilated(1024, 12));
    b.conv("fc7", 1024, 1, 1);
    // 20 classes and the background.
    b.conv("fc8", 21, 1, 1);
    b
}
