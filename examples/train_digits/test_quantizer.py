"""Tests of the quantizer: `python test_quantizer.py`, or pytest."""

from __future__ import annotations

import math

import pytest
import torch
from quantizer import (
    ActivationQuantizer,
    WeightQuantizer,
    branches,
    decode,
    encode,
    greatest,
    read_branches,
)


def all_codes(bits: int) -> torch.Tensor:
    """Return every code of `bits` bits."""
    n = greatest(bits)
    return torch.arange(-n, n + 1, 2, dtype=torch.float64)


def test_codes_by_hand() -> None:
    """Two bits: thresholds lie at -2/3, 0 and 2/3."""
    values = torch.tensor([-9.0, -1.0, -0.67, -0.66, -0.01, 0.01, 0.66, 0.67, 1.0, 9.0])
    assert encode(values, 2).tolist() == [-3, -3, -3, -1, -1, 1, 1, 3, 3, 3]
    assert encode(torch.tensor([-0.2, 0.2]), 1).tolist() == [-1, 1]


def test_ties_go_to_the_even_step() -> None:
    """Zero lies in the middle of two codes: step 0.5 goes to 0, 1.5 to 2, 3.5 to 4."""
    found = [encode(torch.zeros(1, dtype=torch.float64), bits).item() for bits in (1, 2, 3, 4)]
    assert found == [-1, 1, 1, 1]


def test_every_code_is_kept() -> None:
    """Encoding what a code stands for gives the code again."""
    for bits in range(1, 9):
        codes = all_codes(bits)
        assert torch.equal(encode(decode(codes, bits), bits), codes)


def test_codes_are_nearest() -> None:
    """No other code is nearer to a value."""
    generator = torch.Generator().manual_seed(1)
    values = 2.4 * torch.rand(500, generator=generator, dtype=torch.float64) - 1.2
    for bits in range(1, 9):
        distance = (values.clamp(-1, 1)[:, None] - decode(all_codes(bits), bits)).abs()
        found = (values.clamp(-1, 1) - decode(encode(values, bits), bits)).abs()
        assert torch.allclose(found, distance.min(dim=1).values, atol=1e-12)


def test_branches_sum_to_the_code() -> None:
    """Branch i, -1 or +1, weighs 2^i."""
    assert branches(torch.tensor([-3.0, -1.0, 1.0, 3.0]), 2).tolist() == [[-1, 1, -1, 1], [-1, -1, 1, 1]]
    for bits in range(1, 9):
        planes = branches(all_codes(bits), bits)
        assert set(planes.unique().tolist()) == {-1, 1}
        weights = 2 ** torch.arange(bits)
        assert torch.equal((weights[:, None] * planes).sum(0), all_codes(bits).long())


def test_fewer_branches_are_the_most_significant_ones() -> None:
    """What is read at `keep` bits is the sum of the `keep` most significant branches, and those are a code."""
    for bits in range(1, 9):
        planes = branches(all_codes(bits), bits)
        for keep in range(1, bits + 1):
            weights = torch.tensor([2**i if i >= bits - keep else 0 for i in range(bits)])
            found = read_branches(all_codes(bits), bits, keep)
            assert torch.equal(found.long(), (weights[:, None] * planes).sum(0))
            assert set((found / 2 ** (bits - keep)).tolist()) == set(all_codes(keep).tolist())
    assert read_branches(torch.tensor([-5.0, 5.0]), 3, 1).tolist() == [-4, 4]


def test_gradient_passes_inside_the_bounds_only() -> None:
    """Straight through the rounding, stopped by hardtanh."""
    values = torch.tensor([-2.0, -0.4, 0.3, 1.5], requires_grad=True)
    quantized = ActivationQuantizer(2)(values)
    (quantized * torch.tensor([1.0, 2.0, 3.0, 4.0])).sum().backward()
    assert values.grad is not None
    assert values.grad.tolist() == [0, 2, 3, 0]
    assert torch.equal(quantized, torch.tensor([-3.0, -1.0, 1.0, 3.0]) / 3)


def test_tanh_weights_fill_the_range() -> None:
    """The largest weight becomes the outermost code; the sign stays."""
    weights = torch.tensor([[0.1, -4.0], [0.0001, 2.0]])
    encoded = WeightQuantizer(3).encode(weights)
    assert encoded.codes[0, 1] == -7
    assert torch.equal(encoded.codes.sign(), weights.sign())
    assert (encoded.scale.item(), encoded.divisor) == (1, 7)


def test_one_bit_channels_take_the_mean_magnitude() -> None:
    """XNOR-Net's scale: the least squared error of sign(w) * s has s = mean |w|."""
    weights = torch.tensor([[1.0, -3.0], [0.5, 0.1]])
    encoded = WeightQuantizer(1, scaling="channel").encode(weights)
    assert encoded.codes.tolist() == [[1, -1], [1, 1]]
    assert torch.allclose(encoded.scale, torch.tensor([[2.0], [0.3]]))


def test_scales_are_local_optima() -> None:
    """Neither a slightly smaller nor a slightly larger scale has a smaller error."""
    weights = torch.randn(6, 5, 3, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    for quantizer in (
        WeightQuantizer(2, scaling="channel"),
        WeightQuantizer(4, scaling="tensor"),
        WeightQuantizer(2, "ternary", "channel"),
    ):
        encoded = quantizer.encode(weights)
        shape = (1, 1, 1, 1) if quantizer.scaling == "tensor" else (6, 1, 1, 1)
        assert encoded.scale.shape == shape

        def error(factor: float, encoded: object = encoded, quantizer: WeightQuantizer = quantizer) -> float:
            values = factor * encoded.scale * encoded.codes / quantizer.divisor  # type: ignore[attr-defined]
            return float(((weights - values) ** 2).sum())

        assert error(1.0) <= min(error(0.99), error(1.01))


def test_ternary_by_hand() -> None:
    """Small weights become 0, the scale is the mean magnitude of the others."""
    encoded = WeightQuantizer(2, "ternary", "tensor").encode(torch.tensor([[1.0, -0.1, 0.05, -0.8]]))
    assert encoded.codes.tolist() == [[1, 0, 0, -1]]
    assert math.isclose(encoded.scale.item(), 0.9, rel_tol=1e-6)


def test_dead_channels_have_a_scale() -> None:
    """A channel of zeros is no division by zero."""
    for quantizer in (WeightQuantizer(2, scaling="channel"), WeightQuantizer(2, "ternary", "channel")):
        encoded = quantizer.encode(torch.zeros(2, 3))
        assert torch.isfinite(encoded.scale).all()
        assert torch.isfinite(encoded.codes).all()


def test_illegal_bits_are_refused() -> None:
    """Bits outside 1..=8, no branch to read, ternary of other than 2 bits."""
    for wrong in (0, 9):
        with pytest.raises(ValueError, match="choose 1 to 8"):
            encode(torch.zeros(1), wrong)
    with pytest.raises(ValueError, match="choose 1 to 4"):
        read_branches(torch.zeros(1), 4, 0)
    with pytest.raises(ValueError, match="2 bits, not 3"):
        WeightQuantizer(3, "ternary")


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q", "-p", "no:cacheprovider"]))
