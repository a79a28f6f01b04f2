"""Networks for the digits, described as data, and the module that trains them.

A layer is a convolution or a fully connected layer without bias, then batch norm, hardtanh and the quantizer of the next
layer's activations, then at most a max-pool: what the accelerator runs with integers and thresholds. The last layer gives
logits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from quantizer import (
    BITS_MAX,
    ActivationQuantizer,
    Encoding,
    Scaling,
    StraightThrough,
    WeightQuantizer,
    greatest,
    read_branches,
)
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class LayerSpec:
    """A layer. `kernel = 0` is a fully connected layer; `out_bits = 0` marks the last one."""

    outputs: int
    weight_bits: int
    out_bits: int = 0
    kernel: int = 0
    stride: int = 1
    pad: int = 0
    pad_is_true_zero: bool = True
    """Padded taps add nothing; otherwise they are the least code, which is background in these images."""
    pool: int = 0
    """Size and stride of a max-pool, or none."""
    encoding: Encoding = "bipolar"
    scaling: Scaling = "tanh"

    @property
    def is_convolution(self) -> bool:
        """Whether it has a kernel."""
        return self.kernel > 0


@dataclass(frozen=True)
class NetworkSpec:
    """A network, and what its README says of it."""

    name: str
    title: str
    input_shape: tuple[int, ...]
    """`[features]` or `[channels, height, width]`."""
    input_bits: int
    layers: tuple[LayerSpec, ...]
    hot_swap: tuple[int, ...] = ()
    """The most bits at which it is trained to run, beside all of them."""

    def activation_bits(self, index: int) -> int:
        """Return the bits of what layer `index` reads."""
        return self.layers[index - 1].out_bits if index else self.input_bits


MLP = NetworkSpec(
    name="digits_mlp",
    title="a perceptron with three fully connected layers",
    input_shape=(64,),
    input_bits=3,
    layers=(
        LayerSpec(outputs=128, weight_bits=2, out_bits=2),
        LayerSpec(outputs=64, weight_bits=2, out_bits=2),
        LayerSpec(outputs=10, weight_bits=3),
    ),
)

CNN_MIXED = NetworkSpec(
    name="digits_cnn_mixed",
    title="a convolutional network with other bits in each layer",
    input_shape=(1, 8, 8),
    input_bits=4,
    layers=(
        LayerSpec(outputs=16, weight_bits=4, out_bits=2, kernel=3, pad=1, pool=2),
        LayerSpec(outputs=32, weight_bits=2, out_bits=3, kernel=3, pad=1, pad_is_true_zero=False),
        LayerSpec(outputs=32, weight_bits=1, out_bits=2, kernel=3, stride=2, pad=1),
        LayerSpec(outputs=10, weight_bits=3),
    ),
)

CNN_TERNARY = NetworkSpec(
    name="digits_cnn_ternary",
    title="a convolutional network with ternary weights and a scale for each output channel",
    input_shape=(1, 8, 8),
    input_bits=4,
    layers=(
        LayerSpec(outputs=16, weight_bits=2, out_bits=2, kernel=3, pad=1, pool=2, encoding="ternary", scaling="channel"),
        LayerSpec(outputs=32, weight_bits=2, out_bits=2, kernel=3, stride=2, pad=1, encoding="ternary", scaling="channel"),
        LayerSpec(outputs=10, weight_bits=2, encoding="ternary", scaling="tensor"),
    ),
)

CNN_HOT_SWAP = NetworkSpec(
    name="digits_cnn_hot_swap",
    title="a convolutional network whose weights serve 4, 3, 2 and 1 bits",
    input_shape=(1, 8, 8),
    input_bits=4,
    layers=(
        LayerSpec(outputs=16, weight_bits=4, out_bits=4, kernel=3, pad=1, pool=2),
        LayerSpec(outputs=32, weight_bits=4, out_bits=4, kernel=3, stride=2, pad=1, pad_is_true_zero=False),
        LayerSpec(outputs=10, weight_bits=4),
    ),
    hot_swap=(3, 2, 1),
)

NETWORKS = {spec.name: spec for spec in (MLP, CNN_MIXED, CNN_TERNARY, CNN_HOT_SWAP)}
"""All networks by name."""


class DigitsLayer(nn.Module):
    """A layer of a `DigitsNetwork`."""

    def __init__(self, spec: LayerSpec, inputs: int, activation_bits: int) -> None:
        super().__init__()
        self.spec = spec
        self.activation_bits = activation_bits
        shape = (spec.outputs, inputs, spec.kernel, spec.kernel) if spec.is_convolution else (spec.outputs, inputs)
        self.weight = nn.Parameter(torch.empty(shape))
        nn.init.kaiming_normal_(self.weight, nonlinearity="linear")
        self.weight_quantizer = WeightQuantizer(spec.weight_bits, spec.encoding, spec.scaling)
        # Convolutions and fully connected layers have the same batch norm: one per output.
        self.norm = (nn.BatchNorm2d if spec.is_convolution else nn.BatchNorm1d)(spec.outputs) if spec.out_bits else None
        self.quantizer = ActivationQuantizer(spec.out_bits) if spec.out_bits else None

    def pad(self, values: Tensor, quantized: bool, keep: int) -> Tensor:
        """Return the feature map with what its padding stands for: 0, or the least code of the bits that are read."""
        value = 0.0
        if not self.spec.pad_is_true_zero:
            value = -1.0
            if quantized:
                n = greatest(self.activation_bits)
                value = read_branches(torch.tensor(-float(n)), self.activation_bits, keep).item() / n
        return F.pad(values, (self.spec.pad,) * 4, value=value)

    def forward(self, values: Tensor, quantized: bool, keep: int) -> Tensor:
        """Return the real values of all branches of the layer's output; `values` are those of the branches it reads."""
        weight = self.weight_quantizer(self.weight, keep) if quantized else self.weight_quantizer.normalize(self.weight)[0]
        if self.spec.is_convolution:
            values = F.conv2d(self.pad(values, quantized, keep), weight, stride=self.spec.stride)
        else:
            values = F.linear(values.flatten(1), weight)
        if self.norm is None or self.quantizer is None:
            return values
        values = self.norm(values)
        values = self.quantizer(values) if quantized else F.hardtanh(values)
        return F.max_pool2d(values, self.spec.pool) if self.spec.pool else values


class DigitsNetwork(nn.Module):
    """A network of `spec`, in floats (rounding left out) or quantized, at all or at fewer bits."""

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        self.spec = spec
        self.input_quantizer = ActivationQuantizer(spec.input_bits)
        shape = spec.input_shape
        layers = []
        for index, layer in enumerate(spec.layers):
            inputs = shape[0] if layer.is_convolution else math.prod(shape)
            layers.append(DigitsLayer(layer, inputs, spec.activation_bits(index)))
            shape = output_shape(layer, shape)
        self.layers = nn.ModuleList(layers)
        # Logits of low-bit layers are far apart; their temperature changes no decision, only the loss.
        self.log_temperature = nn.Parameter(torch.zeros(()))

    def forward(self, values: Tensor, quantized: bool = True, keep: int = BITS_MAX) -> Tensor:
        """Return logits of images `[images, ...]` of real values in [-1, 1].

        `keep`: the most branches that are read of any activation and any weight, from the most significant one down.
        """
        if quantized:
            values = self.input_quantizer(values)
        for index, layer in enumerate(self.layers):
            values = reduced(values, self.spec.activation_bits(index), keep) if quantized else values
            values = layer(values, quantized, keep)
        return values * self.log_temperature.exp()


def reduced(values: Tensor, bits: int, keep: int) -> Tensor:
    """Return real values of `bits`-bit codes as their `keep` most significant branches give them; gradients pass."""
    if keep >= bits:
        return values
    n = greatest(bits)
    # What is stored is a code of all bits; dividing by n rounded it in floats.
    codes = 2 * torch.round((values.detach() * n + n) / 2) - n
    return StraightThrough.apply(values, read_branches(codes, bits, keep) / n)


def output_shape(layer: LayerSpec, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of a layer's output without the batch, max-pool included."""
    if not layer.is_convolution:
        return (layer.outputs,)
    size = [(length + 2 * layer.pad - layer.kernel) // layer.stride + 1 for length in shape[1:]]
    return (layer.outputs, *(length // max(layer.pool, 1) for length in size))
