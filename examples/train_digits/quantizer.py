"""The quantizer of XnorForge's `bipolar` encoding as PyTorch modules.

An M-bit number is an odd integer in [-n, n], n = 2^M - 1, and stands for code / n in [-1, 1] (Sun et al., arXiv 1905.13389
and 2106.09886). Such an integer is a sum of M branches of -1 and +1, branch i with weight 2^i:

    code = sum over i of 2^i * branch_i,    -3, -1, 1, 3 for M = 2

so a product of two numbers is M x K products of -1 and +1, each an XNOR. Zero has no code. Read from the most significant
branch down, a number is its own version of fewer bits: with d branches left out, code = 2^d * code' + r, |r| < 2^d.

Rounding has no derivative, so the gradient passes straight through it (Bengio et al., arXiv 1308.3432); hardtanh gives it
the bounds. Weights are brought to [-1, 1] as DoReFa-Net does (Zhou et al., arXiv 1606.06160) or by a scale for each output
channel; ternary weights are -1, 0 and 1 with a scale (Li and Liu, arXiv 1605.04711).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

BITS_MAX = 8
"""Most bits of a number, as in the hardware."""

SCALE_STEPS_MAX = 100
"""Most steps of the search for a scale; it settles in about ten."""

Encoding = Literal["bipolar", "ternary"]
Scaling = Literal["tanh", "tensor", "channel"]


def greatest(bits: int) -> int:
    """Return the greatest code of `bits` bits, n = 2^bits - 1."""
    if not 1 <= bits <= BITS_MAX:
        raise ValueError(f"bits = {bits}; choose 1 to {BITS_MAX}")
    return 2**bits - 1


def encode(values: Tensor, bits: int) -> Tensor:
    """Return the codes nearest to real values, of the same floating type.

    Values beyond [-1, 1] take the outermost codes. A value in the middle of two codes takes the one whose index, counted
    from -n, is even: what `Quant` of QONNX does with scale 2/n and zero point n/2, and `ROUND`.
    """
    n = greatest(bits)
    steps = torch.round(F.hardtanh(values) * (n / 2) + n / 2)
    return 2 * steps - n


def decode(codes: Tensor, bits: int) -> Tensor:
    """Return the real values in [-1, 1] that codes stand for."""
    return codes / greatest(bits)


def branches(codes: Tensor, bits: int) -> Tensor:
    """Return the branches, -1 and +1, least significant first in a new first dimension."""
    steps = ((codes + greatest(bits)) / 2).to(torch.int64)
    return torch.stack([2 * (steps >> i & 1) - 1 for i in range(bits)])


def read_branches(codes: Tensor, bits: int, keep: int) -> Tensor:
    """Return what the `keep` most significant branches of codes stand for, in steps of the full codes.

    That is 2^(bits - keep) times the code of `keep` bits, so that products of full and of reduced numbers have one scale.
    With `keep >= bits` these are the codes themselves.
    """
    if keep < 1:
        raise ValueError(f"keep = {keep}; choose 1 to {bits}")
    if keep >= bits:
        return codes
    left_out = 2 ** (bits - keep)
    steps = torch.floor((codes + greatest(bits)) / (2 * left_out))
    return left_out * (2 * steps - greatest(keep))


class StraightThrough(torch.autograd.Function):
    """Gives the second tensor; its gradient goes to the first one as if nothing had happened in between."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, result: Tensor) -> Tensor:  # noqa: ANN401 (torch's signature)
        """Return `result`, exactly: `values + (result - values)` would round."""
        return result.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:  # noqa: ANN401 (torch's signature)
        """Return the gradient of `values`."""
        return gradients[0], None


class ActivationQuantizer(nn.Module):
    """Real activations of any shape to the real values of `bits`-bit codes, with hardtanh in front."""

    def __init__(self, bits: int) -> None:
        super().__init__()
        self.bits = bits
        self.n = greatest(bits)

    def forward(self, values: Tensor, keep: int = BITS_MAX) -> Tensor:
        """Return code / n, reading the `keep` most significant branches of each code."""
        clipped = F.hardtanh(values)
        codes = read_branches(encode(clipped.detach(), self.bits), self.bits, keep)
        return StraightThrough.apply(clipped, codes / self.n)


@dataclass(frozen=True)
class EncodedWeights:
    """Integers of a weight tensor and what one of them stands for.

    `codes` has the shape of the weights; a real weight is `scale * codes / divisor`. `scale` has one entry, or one for each
    output channel in dimensions that broadcast. `normalized` is what was rounded: codes are those of `normalized`.
    """

    codes: Tensor
    scale: Tensor
    divisor: int
    normalized: Tensor


class WeightQuantizer(nn.Module):
    """Real weights `[outputs, ...]` to the real values of integers.

    `encoding` is `bipolar` with `bits` bits or `ternary`. `scaling`:

    - `tanh`: tanh(w) / max |tanh(w)| over the tensor, scale 1. A batch norm behind the layer makes up for the lost scale.
    - `tensor`, `channel`: w / s, where s minimizes the squared error, for the tensor or for each output channel.
    """

    def __init__(self, bits: int, encoding: Encoding = "bipolar", scaling: Scaling = "tanh") -> None:
        super().__init__()
        if encoding == "ternary" and bits != 2:
            raise ValueError(f"ternary weights take 2 bits, not {bits}")
        self.bits = bits
        self.encoding = encoding
        self.scaling = scaling
        self.divisor = 1 if encoding == "ternary" else greatest(bits)

    def round(self, normalized: Tensor) -> Tensor:
        """Return the codes of weights in [-1, 1]."""
        if self.encoding == "ternary":
            return torch.round(F.hardtanh(normalized))
        return encode(normalized, self.bits)

    def normalize(self, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Return the weights as they are rounded, and the scale that they were divided by."""
        if self.scaling == "tanh":
            bounded = torch.tanh(weights)
            return bounded / bounded.abs().max(), weights.new_ones(())
        scale = self.best_scale(weights.detach())
        return weights / scale, scale

    def best_scale(self, weights: Tensor) -> Tensor:
        """Return the scale of the least squared error.

        It alternates between the best integers for a scale and the best scale for integers (Lloyd), starting where the
        mean magnitude falls on the middle of the range.
        """
        dims = tuple(range(0 if self.scaling == "tensor" else 1, weights.dim()))
        tiny = torch.finfo(weights.dtype).tiny
        scale = 2 * weights.abs().mean(dims, keepdim=True).clamp_min(tiny)
        for _ in range(SCALE_STEPS_MAX):
            values = self.round(weights / scale) / self.divisor
            power = (values * values).sum(dims, keepdim=True)
            fitted = (weights * values).sum(dims, keepdim=True) / power.clamp_min(tiny)
            last, scale = scale, torch.where(power > 0, fitted, scale).clamp_min(tiny)
            if torch.equal(last, scale):
                break
        return scale

    def encode(self, weights: Tensor) -> EncodedWeights:
        """Return the integers of the weights and their scale."""
        normalized, scale = self.normalize(weights.detach())
        return EncodedWeights(self.round(normalized), scale, self.divisor, normalized)

    def forward(self, weights: Tensor, keep: int = BITS_MAX) -> Tensor:
        """Return the real values of the integers; `keep` is as in `read_branches`, ternary weights stay whole."""
        normalized, scale = self.normalize(weights)
        clipped = F.hardtanh(normalized)
        codes = self.round(clipped.detach())
        if self.encoding == "bipolar":
            codes = read_branches(codes, self.bits, keep)
        return scale * StraightThrough.apply(clipped, codes / self.divisor)
