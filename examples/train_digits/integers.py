"""A trained network as integers: codes of weights, thresholds instead of batch norms, and their execution.

Nothing is rounded here but what the quantizers round: with 64-bit floats that hold integers, products and sums are exact.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from network import DigitsLayer, DigitsNetwork, LayerSpec, NetworkSpec
from quantizer import greatest
from torch import nn
from torch.nn import functional as F


@dataclass(frozen=True)
class BatchNorm:
    """Parameters of a batch norm, 32-bit floats `[outputs]`."""

    gamma: np.ndarray
    beta: np.ndarray
    mean: np.ndarray
    var: np.ndarray
    epsilon: float


@dataclass(frozen=True)
class IntegerLayer:
    """A layer in integers.

    A real accumulator is `accumulator * acc_scale[output]`. The code of an accumulator is `-n + 2 * c` where `sign` is 1 and
    `n - 2 * c` where it is -1; c counts the thresholds that it reaches, n = 2^out_bits - 1.
    """

    spec: LayerSpec
    activation_bits: int
    codes: np.ndarray
    """`int64`, `[outputs, inputs]` or `[outputs, inputs, kernel, kernel]`."""
    weights: np.ndarray
    """32-bit floats of which `codes` are the rounded ones, before they are divided by the scale."""
    weight_scale: np.ndarray
    """32-bit floats `[outputs]` or `[1]`; a weight is `weight_scale * code / divisor`."""
    divisor: int
    norm: BatchNorm | None
    thresholds: np.ndarray | None
    """`int64 [outputs, n]`, rising."""
    sign: np.ndarray | None
    """`int64 [outputs]`."""

    @property
    def acc_scale(self) -> np.ndarray:
        """What one step of an accumulator stands for, 64-bit floats `[outputs]` or `[1]`."""
        return self.weight_scale.astype(np.float64) / (self.divisor * greatest(self.activation_bits))

    @property
    def acc_bound(self) -> int:
        """The greatest magnitude of an accumulator that any weights of these bits could give."""
        return int(np.prod(self.codes.shape[1:])) * self.divisor * greatest(self.activation_bits)

    @property
    def pad_code(self) -> int:
        """The code of padded taps, 0 for none."""
        return 0 if self.spec.pad_is_true_zero else -greatest(self.activation_bits)


@dataclass(frozen=True)
class IntegerNetwork:
    """A network in integers."""

    spec: NetworkSpec
    layers: tuple[IntegerLayer, ...]


def from_trained(network: DigitsNetwork) -> IntegerNetwork:
    """Return a trained network in integers."""
    return IntegerNetwork(network.spec, tuple(layer_from_trained(layer) for layer in network.layers))


@torch.no_grad()
def layer_from_trained(layer: nn.Module) -> IntegerLayer:
    """Return a trained layer in integers."""
    if not isinstance(layer, DigitsLayer):
        raise TypeError("a network of other layers")
    encoded = layer.weight_quantizer.encode(layer.weight)
    result = IntegerLayer(
        spec=layer.spec,
        activation_bits=layer.activation_bits,
        codes=encoded.codes.numpy().astype(np.int64),
        weights=(encoded.normalized * encoded.scale).numpy(),
        weight_scale=encoded.scale.reshape(-1).numpy(),
        divisor=encoded.divisor,
        norm=None,
        thresholds=None,
        sign=None,
    )
    if layer.norm is None or layer.norm.running_mean is None or layer.norm.running_var is None:
        return result
    norm = BatchNorm(
        gamma=layer.norm.weight.numpy().copy(),
        beta=layer.norm.bias.numpy().copy(),
        mean=layer.norm.running_mean.numpy().copy(),
        var=layer.norm.running_var.numpy().copy(),
        epsilon=layer.norm.eps,
    )
    thresholds, sign = fold(norm, result.acc_scale, result.acc_bound, layer.spec.out_bits)
    return replace(result, norm=norm, thresholds=thresholds, sign=sign)


def fold(norm: BatchNorm, acc_scale: np.ndarray, bound: int, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Return thresholds and signs that give what batch norm, hardtanh and quantizer give, for every accumulator.

    Every possible accumulator is tried, in 64-bit floats. A threshold of `bound + 1` is never reached.
    """
    n = greatest(bits)
    accumulators = np.arange(-bound, bound + 1)
    factor = norm.gamma.astype(np.float64) / np.sqrt(norm.var.astype(np.float64) + norm.epsilon)
    thresholds, signs = [], []
    scales = np.broadcast_to(acc_scale, factor.shape)
    for scale, mean, gain, offset in zip(scales, norm.mean, factor, norm.beta, strict=True):
        values = (accumulators * scale - np.float64(mean)) * gain + np.float64(offset)
        # numpy rounds halves to even, as the quantizer does.
        steps = np.round(np.clip(values, -1, 1) * (n / 2) + n / 2).astype(np.int64)
        rising = bool(gain >= 0)
        passed = steps if rising else n - steps
        # `passed` does not fall, so the place of k is the first accumulator that passes k thresholds.
        thresholds.append(np.searchsorted(passed, np.arange(1, n + 1)) - bound)
        signs.append(1 if rising else -1)
    return np.array(thresholds), np.array(signs)


def input_codes(pixels: np.ndarray, spec: NetworkSpec) -> np.ndarray:
    """Return the codes of pixels 0 to 16, `int64 [images, ...]`: halves go to the even step."""
    n = greatest(spec.input_bits)
    return (2 * np.round(pixels.astype(np.float64) * n / 16).astype(np.int64) - n).reshape(-1, *spec.input_shape)


def truncated(codes: np.ndarray, bits: int, keep: int) -> np.ndarray:
    """Return the codes of `keep` bits that the most significant branches of codes are."""
    if keep >= bits:
        return codes
    return 2 * (((codes + greatest(bits)) // 2) >> (bits - keep)) - greatest(keep)


def reduced(network: IntegerNetwork, keep: int) -> IntegerNetwork:
    """Return the network that reads at most `keep` branches of each activation and weight, as the hardware's hot swap does.

    Accumulators shrink by the power of two that is left out, and thresholds follow, rounded up. Activations are stored
    with all of their bits; `execute` truncates what a layer reads.
    """
    return replace(network, layers=tuple(reduced_layer(layer, keep) for layer in network.layers))


def reduced_layer(layer: IntegerLayer, keep: int) -> IntegerLayer:
    """Return a layer that reads at most `keep` branches."""
    is_bipolar = layer.spec.encoding == "bipolar"
    weight_bits = min(layer.spec.weight_bits, keep) if is_bipolar else layer.spec.weight_bits
    activation_bits = min(layer.activation_bits, keep)
    shift = layer.activation_bits - activation_bits + layer.spec.weight_bits - weight_bits
    return replace(
        layer,
        spec=replace(layer.spec, weight_bits=weight_bits),
        activation_bits=activation_bits,
        codes=truncated(layer.codes, layer.spec.weight_bits, weight_bits),
        divisor=greatest(weight_bits) if is_bipolar else layer.divisor,
        thresholds=None if layer.thresholds is None else -(-layer.thresholds >> shift),
    )


def execute(network: IntegerNetwork, codes: np.ndarray) -> dict[str, np.ndarray]:
    """Return the integers of every layer, `l1_acc`, `l1_act`, `l1_pool`, `l2_acc` and so on, for input codes."""
    found: dict[str, np.ndarray] = {}
    values, bits = codes, network.spec.input_bits
    for number, layer in enumerate(network.layers, start=1):
        accumulators = products(layer, truncated(values, bits, layer.activation_bits))
        found[f"l{number}_acc"] = accumulators
        if layer.thresholds is None:
            continue
        values, bits = requantized(layer, accumulators), layer.spec.out_bits
        found[f"l{number}_act"] = values
        if layer.spec.pool:
            values = F.max_pool2d(torch.from_numpy(values).double(), layer.spec.pool).numpy().astype(np.int64)
            found[f"l{number}_pool"] = values
    return found


def products(layer: IntegerLayer, codes: np.ndarray) -> np.ndarray:
    """Return the accumulators of a layer: sums of integers far below 2^53, exact in 64-bit floats."""
    values, weights = torch.from_numpy(codes).double(), torch.from_numpy(layer.codes).double()
    if layer.spec.is_convolution:
        values = F.pad(values, (layer.spec.pad,) * 4, value=float(layer.pad_code))
        sums = F.conv2d(values, weights, stride=layer.spec.stride)
    else:
        sums = F.linear(values.flatten(1), weights)
    result = sums.numpy().astype(np.int64)
    if not np.array_equal(result, sums.numpy()):
        raise ArithmeticError("an accumulator is no integer")
    return result


def requantized(layer: IntegerLayer, accumulators: np.ndarray) -> np.ndarray:
    """Return the codes of accumulators by thresholds."""
    if layer.thresholds is None or layer.sign is None:
        raise ValueError("the last layer has no thresholds")
    by_output = (1, -1) + (1,) * (accumulators.ndim - 2)
    passed = np.zeros_like(accumulators)
    for threshold in layer.thresholds.T:
        passed += accumulators >= threshold.reshape(by_output)
    return layer.sign.reshape(by_output) * (2 * passed - greatest(layer.spec.out_bits))
