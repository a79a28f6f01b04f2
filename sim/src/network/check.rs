//! What a legal network is.

use super::{
    Convolution, LAYERS_MAX, Layer, NUMBERS_MAX, Network, Operation, Output, Pad, Requantize,
    Rescale, Residual, SIZE_MAX, Shape, TensorId, WINDOW_MAX, Window, steps, truncated_precision,
};
use crate::encoder::{EncodeError, Encoding};
use crate::gemm::{GemmError, Precision};
use xnorforge_hdl::accelerator::config::MULTIPLIER_BITS;

/// Most bits of a shift.
const SHIFT_MAX: u32 = 47;
/// Largest magnitude of bias, threshold, addend, offset and table entry.
const MAGNITUDE_MAX: i64 = 1 << 46;

/// What is wrong with a network.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NetworkError {
    /// A layer is wrong.
    #[error("layer {index} (`{name}`): {source}")]
    Layer {
        /// Its index.
        index: usize,
        /// Its name.
        name: String,
        /// What is wrong with it.
        source: Box<LayerError>,
    },
    /// The input, or an output, is wrong.
    #[error("{0}")]
    Ends(LayerError),
}

/// What is wrong with a layer, or with a tensor at the ends of a network.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LayerError {
    /// A number lies outside its range.
    #[error("{field} = {value} is out of range: {min}..={max}; choose a value in that range")]
    Range {
        /// The field.
        field: &'static str,
        /// What was given.
        value: i64,
        /// Smallest value allowed.
        min: i64,
        /// Largest value allowed.
        max: i64,
    },
    /// A list has the wrong length.
    #[error("{field} has {found} entries where {expected} are needed ({why}); give that many")]
    Length {
        /// Which list.
        field: &'static str,
        /// What was given.
        found: usize,
        /// What is needed.
        expected: usize,
        /// How that number comes about.
        why: &'static str,
    },
    /// A tensor does not exist yet.
    #[error("reads {0}, which does not stand before it; order the layers so that it does")]
    Order(TensorId),
    /// Accumulators where codes are needed.
    #[error("reads {0}, which gives raw accumulators; requantize that layer")]
    Raw(TensorId),
    /// A kernel that does not fit.
    #[error(
        "a kernel of {kernel:?} (y, x) with dilation {dilation:?} is larger than the padded input of {shape}; pad more or choose a smaller kernel"
    )]
    Kernel {
        /// Size of the kernel.
        kernel: (u32, u32),
        /// Distance of its taps.
        dilation: (u32, u32),
        /// The input, without padding.
        shape: Shape,
    },
    /// A window of a pool that holds padding alone.
    #[error(
        "the window of output (y, x) = ({y}, {x}) lies in the padding altogether and has no maximum; pad less"
    )]
    EmptyWindow {
        /// Output line.
        y: u32,
        /// Output pixel.
        x: u32,
    },
    /// Groups that do not divide the channels.
    #[error(
        "{groups} groups do not divide {channels} {what} channels; choose a divisor of both input and output channels"
    )]
    Groups {
        /// What was given.
        groups: u32,
        /// Channels.
        channels: u32,
        /// `input` or `output`.
        what: &'static str,
    },
    /// Thresholds in the wrong order.
    #[error(
        "threshold {index} of channel {channel} is smaller than the one before; sort them in rising order"
    )]
    Unsorted {
        /// The channel.
        channel: usize,
        /// Which threshold.
        index: usize,
    },
    /// A residual of another shape.
    #[error(
        "the residual has shape {found} where {expected} is needed: that of the layer's output"
    )]
    ResidualShape {
        /// What was given.
        found: Shape,
        /// What is needed.
        expected: Shape,
    },
    /// A residual beside a max-pool.
    #[error("a max-pool adds no residual; add it in the product before or after")]
    PoolResidual,
    /// A number or a precision that does not exist.
    #[error("{field}: {source}")]
    Code {
        /// Which number.
        field: &'static str,
        /// Why not.
        source: EncodeError,
    },
    /// Weights that are not legal.
    #[error(transparent)]
    Weights(#[from] GemmError),
    /// Branches that cannot be left out.
    #[error(
        "the {bits} most significant branches of `{encoding}` of {of} bits are no number of it; choose 1..={of} bits of `bipolar`, `unsigned` or `signed`, all of `ternary`"
    )]
    Truncate {
        /// The encoding.
        encoding: Encoding,
        /// Its bits.
        of: u32,
        /// What was given.
        bits: u32,
    },
    /// Nothing to do.
    #[error("the network has no {0}; give at least one")]
    Empty(&'static str),
    /// An input of the wrong shape.
    #[error("the input has shape {found} where the network takes {expected}")]
    InputShape {
        /// What was given.
        found: Shape,
        /// What is needed.
        expected: Shape,
    },
    /// An output twice.
    #[error("{0} is listed twice as an output; list it once")]
    OutputTwice(TensorId),
}

/// Shape and precision of a tensor; no precision for raw accumulators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TensorType {
    /// Its shape.
    pub shape: Shape,
    /// Encoding and bits.
    pub precision: Option<Precision>,
}

fn range(field: &'static str, value: i64, min: i64, max: i64) -> Result<(), LayerError> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(LayerError::Range {
        field,
        value,
        min,
        max,
    })
}

fn length(
    field: &'static str,
    found: usize,
    expected: usize,
    why: &'static str,
) -> Result<(), LayerError> {
    if found == expected {
        return Ok(());
    }
    Err(LayerError::Length {
        field,
        found,
        expected,
        why,
    })
}

fn magnitudes<'a>(
    field: &'static str,
    values: impl IntoIterator<Item = &'a i64>,
) -> Result<(), LayerError> {
    for value in values {
        range(field, *value, -MAGNITUDE_MAX, MAGNITUDE_MAX)?;
    }
    Ok(())
}

fn check_shape(shape: Shape) -> Result<(), LayerError> {
    for (field, value) in [
        ("height", shape.height),
        ("width", shape.width),
        ("channels", shape.channels),
    ] {
        range(field, value.into(), 1, SIZE_MAX.into())?;
    }
    check_numbers("numbers of a feature map", shape.len() as u64)
}

fn check_numbers(field: &'static str, numbers: u64) -> Result<(), LayerError> {
    let value = i64::try_from(numbers).unwrap_or(i64::MAX);
    range(field, value, 1, NUMBERS_MAX as i64)
}

impl Network {
    /// Checks everything and gives the type of every layer's output.
    ///
    /// # Errors
    /// The first [`NetworkError`].
    pub fn check(&self) -> Result<Vec<TensorType>, NetworkError> {
        self.check_ends()?;
        let mut types = Vec::with_capacity(self.layers.len());
        for (index, layer) in self.layers.iter().enumerate() {
            let checked = self.check_layer(layer, &types);
            types.push(checked.map_err(|source| NetworkError::Layer {
                index,
                name: layer.name.clone(),
                source: Box::new(source),
            })?);
        }
        for output in &self.outputs {
            self.lookup(*output, &types).map_err(NetworkError::Ends)?;
        }
        Ok(types)
    }

    /// Checks the network, that `input` can be fed to it, and that no tensor of all images is too large to execute.
    ///
    /// # Errors
    /// Those of [`Network::check`] and [`Network::check_input`], and [`LayerError::Range`].
    pub fn check_run(&self, input: &super::Tensor) -> Result<Vec<TensorType>, NetworkError> {
        let types = self.check()?;
        self.check_input(input).map_err(NetworkError::Ends)?;
        for (index, found) in types.iter().enumerate() {
            let numbers = (input.images as u64).saturating_mul(found.shape.len() as u64);
            let checked = check_numbers("numbers of all images", numbers);
            checked.map_err(|source| NetworkError::Layer {
                index,
                name: self.layers[index].name.clone(),
                source: Box::new(source),
            })?;
        }
        Ok(types)
    }

    /// Checks that `input` can be fed to the network.
    ///
    /// # Errors
    /// [`LayerError::InputShape`], [`LayerError::Length`], and [`LayerError::Code`] for the first number without a code.
    pub fn check_input(&self, input: &super::Tensor) -> Result<(), LayerError> {
        if input.shape != self.input {
            return Err(LayerError::InputShape {
                found: input.shape,
                expected: self.input,
            });
        }
        let expected = input.images.saturating_mul(input.shape.len());
        length(
            "the input",
            input.values.len(),
            expected,
            "images x height x width x channels",
        )?;
        let Precision { encoding, bits } = self.precision;
        match input.values.iter().find(|v| !encoding.contains(bits, **v)) {
            None => Ok(()),
            Some(value) => {
                encoding
                    .encode(bits, *value)
                    .map(drop)
                    .map_err(|source| LayerError::Code {
                        field: "a number of the input",
                        source,
                    })
            }
        }
    }

    fn check_ends(&self) -> Result<(), NetworkError> {
        let check = || -> Result<(), LayerError> {
            check_shape(self.input)?;
            check_precision("the input", self.precision)?;
            if self.layers.is_empty() {
                return Err(LayerError::Empty("layers"));
            }
            if self.outputs.is_empty() {
                return Err(LayerError::Empty("outputs"));
            }
            range("layers", self.layers.len() as i64, 1, LAYERS_MAX as i64)?;
            for (index, output) in self.outputs.iter().enumerate() {
                if self.outputs[..index].contains(output) {
                    return Err(LayerError::OutputTwice(*output));
                }
            }
            Ok(())
        };
        check().map_err(NetworkError::Ends)
    }

    /// The type of a tensor: the input's, or that of a layer in `types`, which [`Network::check`] gave; none if the
    /// layer is not in there.
    pub fn tensor_type(&self, tensor: TensorId, types: &[TensorType]) -> Option<TensorType> {
        match tensor {
            TensorId::Input => Some(TensorType {
                shape: self.input,
                precision: Some(self.precision),
            }),
            TensorId::Layer(index) => types.get(index).copied(),
        }
    }

    /// Shape of what a layer reads, and encoding and bits as it reads them. `types` are those that [`Network::check`] gave.
    ///
    /// # Panics
    /// If the layer reads raw accumulators or what does not stand before it: a network that is not legal.
    pub fn read_type(&self, layer: &Layer, types: &[TensorType]) -> (Shape, Precision) {
        let found = self.tensor_type(layer.input.tensor, types);
        let found = found.expect("a legal network reads what stands before");
        let stored = found.precision.expect("a legal network reads numbers only");
        let bits = layer.input.bits.unwrap_or(stored.bits);
        (found.shape, Precision { bits, ..stored })
    }

    fn lookup(&self, tensor: TensorId, types: &[TensorType]) -> Result<TensorType, LayerError> {
        self.tensor_type(tensor, types)
            .ok_or(LayerError::Order(tensor))
    }

    fn lookup_codes(
        &self,
        tensor: TensorId,
        types: &[TensorType],
    ) -> Result<(Shape, Precision), LayerError> {
        let found = self.lookup(tensor, types)?;
        let precision = found.precision.ok_or(LayerError::Raw(tensor))?;
        Ok((found.shape, precision))
    }

    fn check_layer(&self, layer: &Layer, types: &[TensorType]) -> Result<TensorType, LayerError> {
        let (input, precision) = self.lookup_codes(layer.input.tensor, types)?;
        let precision = match layer.input.bits {
            Some(bits) => truncated_precision(precision, bits)?,
            None => precision,
        };
        let window = layer.operation.window();
        let (height, width) = check_window(window, input)?;
        let channels = match &layer.operation {
            Operation::Convolution(convolution) => {
                check_convolution(convolution, input, precision)?;
                convolution.outputs()
            }
            Operation::SumPool(_) | Operation::MaxPool(_) => input.channels,
        };
        let shape = Shape {
            height,
            width,
            channels,
        };
        check_shape(shape)?;
        if let Operation::MaxPool(window) = &layer.operation {
            if layer.residual.is_some() {
                return Err(LayerError::PoolResidual);
            }
            if let Some((y, x)) = window.empty_output(input) {
                return Err(LayerError::EmptyWindow { y, x });
            }
            return Ok(TensorType {
                shape,
                precision: Some(precision),
            });
        }
        if let Some(residual) = &layer.residual {
            self.check_residual(residual, shape, types)?;
        }
        let precision = match &layer.output {
            Output::Raw => None,
            Output::Codes(requantize) => {
                check_requantize(requantize, channels as usize)?;
                Some(requantize.precision)
            }
        };
        Ok(TensorType { shape, precision })
    }

    fn check_residual(
        &self,
        residual: &Residual,
        shape: Shape,
        types: &[TensorType],
    ) -> Result<(), LayerError> {
        let (found, precision) = self.lookup_codes(residual.tensor, types)?;
        if found != shape {
            return Err(LayerError::ResidualShape {
                found,
                expected: shape,
            });
        }
        length(
            "the residual's table",
            residual.table.len(),
            steps(precision) as usize,
            "one for each number of the residual",
        )?;
        magnitudes("an entry of the residual's table", &residual.table)
    }
}

fn check_precision(field: &'static str, precision: Precision) -> Result<(), LayerError> {
    precision
        .encoding
        .check_bits(precision.bits)
        .map_err(|source| LayerError::Code { field, source })
}

fn check_window(window: &Window, input: Shape) -> Result<(u32, u32), LayerError> {
    let p = window.padding;
    for (field, value, min) in [
        ("kernel height", window.kernel.0, 1),
        ("kernel width", window.kernel.1, 1),
        ("stride in y", window.stride.0, 1),
        ("stride in x", window.stride.1, 1),
        ("dilation in y", window.dilation.0, 1),
        ("dilation in x", window.dilation.1, 1),
        ("padding above", p.top, 0),
        ("padding to the left", p.left, 0),
        ("padding below", p.bottom, 0),
        ("padding to the right", p.right, 0),
    ] {
        // A kernel that covers a whole feature map is a fully connected layer and as large as that may be.
        let max = if field.starts_with("kernel") {
            SIZE_MAX
        } else {
            WINDOW_MAX
        };
        range(field, value.into(), min, max.into())?;
    }
    window.output(input).ok_or(LayerError::Kernel {
        kernel: window.kernel,
        dilation: window.dilation,
        shape: input,
    })
}

fn check_convolution(
    convolution: &Convolution,
    input: Shape,
    precision: Precision,
) -> Result<(), LayerError> {
    let (groups, outputs) = (convolution.groups, convolution.outputs());
    range("groups", groups.into(), 1, input.channels.into())?;
    range(
        "output channels",
        convolution.weights.vectors() as i64,
        1,
        SIZE_MAX.into(),
    )?;
    for (channels, what) in [(input.channels, "input"), (outputs, "output")] {
        if !channels.is_multiple_of(groups) {
            return Err(LayerError::Groups {
                groups,
                channels,
                what,
            });
        }
    }
    let (kh, kw) = convolution.window.kernel;
    let taps = u64::from(input.channels / groups) * u64::from(kh) * u64::from(kw);
    length(
        "a vector of weights",
        convolution.weights.elements(),
        taps as usize,
        "input channels of a group x kernel height x kernel width",
    )?;
    if let Some(bias) = &convolution.bias {
        length("the bias", bias.len(), outputs as usize, "output channels")?;
        magnitudes("a bias", bias)?;
    }
    if let Pad::Number(number) = convolution.pad {
        precision
            .encoding
            .encode(precision.bits, number)
            .map_err(|source| LayerError::Code {
                field: "the number of padded taps",
                source,
            })?;
    }
    Ok(())
}

fn check_requantize(requantize: &Requantize, channels: usize) -> Result<(), LayerError> {
    check_precision("the output", requantize.precision)?;
    let top = steps(requantize.precision) - 1;
    range("the least step", requantize.low, 0, top)?;
    range("the greatest step", requantize.high, requantize.low, top)?;
    magnitudes("the offset", [&requantize.offset])?;
    match &requantize.rescale {
        Rescale::Thresholds {
            thresholds,
            falling,
        } => {
            let why = "one for each output channel";
            length("the thresholds", thresholds.len(), channels, why)?;
            length("the falling channels", falling.len(), channels, why)?;
            check_thresholds(thresholds)
        }
        Rescale::Affine {
            multipliers,
            addends,
            shift,
            ..
        } => {
            let why = "one for each output channel";
            length("the multipliers", multipliers.len(), channels, why)?;
            length("the addends", addends.len(), channels, why)?;
            let limit = 1 << (MULTIPLIER_BITS - 1);
            for multiplier in multipliers {
                range("a multiplier", *multiplier, -limit, limit - 1)?;
            }
            magnitudes("an addend", addends)?;
            range("the shift", (*shift).into(), 0, SHIFT_MAX.into())
        }
    }
}

fn check_thresholds(thresholds: &[Vec<i64>]) -> Result<(), LayerError> {
    let count = thresholds.first().map_or(0, Vec::len);
    range("thresholds of a channel", count as i64, 1, 255)?;
    for (channel, list) in thresholds.iter().enumerate() {
        length(
            "the thresholds of a channel",
            list.len(),
            count,
            "as many as those of channel 0",
        )?;
        magnitudes("a threshold", list)?;
        if let Some(index) = (1..list.len()).find(|i| list[*i] < list[i - 1]) {
            return Err(LayerError::Unsorted { channel, index });
        }
    }
    Ok(())
}
