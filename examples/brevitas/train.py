"""Trains a small quantized residual network on the digits with Brevitas, on one thread of a CPU.

    python examples/brevitas/train.py      # two minutes or so; writes build/brevitas/digits_residual.pt

Weights have a scale for each output channel, activations are unsigned with learned scales, both branches of the residual
addition share one quantizer (so that integers can be added), and the last layer has an integer bias. `export.py` turns the
result into files for XnorForge.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import brevitas.nn as qnn
import numpy as np
import torch
from brevitas.inject.enum import ScalingImplType
from brevitas.quant import Int8WeightPerChannelFloat, Int8WeightPerTensorFloat, Int32Bias, Uint8ActPerTensorFloat
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn
from torch.nn import functional as F

NAME = "digits_residual"
BUILD = Path(__file__).resolve().parents[2] / "build" / "brevitas"
SEED = 1
BATCH = 64
TEST_IMAGES = 400
VALIDATION_IMAGES = 400
FLOAT_EPOCHS, FLOAT_RATE = 40, 3e-3
QUANTIZED_EPOCHS, QUANTIZED_RATE = 40, 1e-3

CHANNELS = 16
FEATURES = 32
INPUT_BITS, WEIGHT_BITS, ACTIVATION_BITS, LAST_WEIGHT_BITS = 4, 3, 3, 4


class PixelQuantizer(Uint8ActPerTensorFloat):
    """Pixels / 16 in steps of 1/16: exact, but for the brightest one, which becomes 15."""

    scaling_impl_type = ScalingImplType.CONST
    scaling_init = 15 / 16


def convolution(inputs: int, outputs: int, stride: int, quantized: bool) -> nn.Module:
    """Return a 3 x 3 convolution without bias."""
    if not quantized:
        return nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False)
    quantizer = {"weight_quant": Int8WeightPerChannelFloat, "weight_bit_width": WEIGHT_BITS}
    return qnn.QuantConv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False, **quantizer)


def activation(quantized: bool) -> nn.Module:
    """Return a ReLU, and the quantizer behind it."""
    return qnn.QuantReLU(bit_width=ACTIVATION_BITS, return_quant_tensor=True) if quantized else nn.ReLU()


class Residual(nn.Module):
    """Digits `[images, 1, 8, 8]`, pixel / 16, to logits; in floats, or quantized."""

    def __init__(self, quantized: bool) -> None:
        super().__init__()
        pixels = qnn.QuantIdentity(act_quant=PixelQuantizer, bit_width=INPUT_BITS, return_quant_tensor=True)
        self.pixels = pixels if quantized else nn.Identity()
        self.conv0 = convolution(1, CHANNELS, 1, quantized)
        self.norm0 = nn.BatchNorm2d(CHANNELS)
        self.act0 = activation(quantized)
        self.pool = nn.MaxPool2d(2)
        self.conv1 = convolution(CHANNELS, CHANNELS, 1, quantized)
        self.norm1 = nn.BatchNorm2d(CHANNELS)
        self.shared = activation(quantized)
        self.conv2 = convolution(CHANNELS, FEATURES, 2, quantized)
        self.norm2 = nn.BatchNorm2d(FEATURES)
        self.act2 = activation(quantized)
        self.last = nn.Linear(4 * FEATURES, 10)
        if quantized:
            quantizer = {"weight_quant": Int8WeightPerTensorFloat, "weight_bit_width": LAST_WEIGHT_BITS}
            self.last = qnn.QuantLinear(4 * FEATURES, 10, bias=True, bias_quant=Int32Bias, **quantizer)

    def forward(self, values: Tensor) -> Tensor:
        """Return logits."""
        values = self.pool(self.act0(self.norm0(self.conv0(self.pixels(values)))))
        values = self.shared(self.norm1(self.conv1(values))) + self.shared(values)
        values = self.act2(self.norm2(self.conv2(values)))
        return self.last(values.flatten(1))


def load_images() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return pixels `uint8 [images, 64]` to train and to test with, and labels of both; the split of all examples."""
    digits = load_digits()
    return tuple(
        train_test_split(
            digits.data.astype(np.uint8),
            digits.target.astype(np.uint8),
            test_size=TEST_IMAGES,
            random_state=0,
            stratify=digits.target,
        )
    )


def real(pixels: np.ndarray) -> Tensor:
    """Return pixels as the network takes them; exact."""
    return torch.from_numpy(pixels.astype(np.float32) / 16).reshape(-1, 1, 8, 8)


def fit(network: nn.Module, values: Tensor, labels: Tensor, epochs: int, rate: float) -> None:
    """Train with Adam and a cosine schedule."""
    network.train()
    optimizer = torch.optim.Adam(network.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    for _ in range(epochs):
        # A batch norm has no use for the rest of a few images.
        for chosen in torch.randperm(len(labels)).split(BATCH)[: len(labels) // BATCH]:
            optimizer.zero_grad()
            F.cross_entropy(network(values[chosen]), labels[chosen]).backward()
            optimizer.step()
        schedule.step()


@torch.no_grad()
def accuracy(network: Callable[[Tensor], Tensor], values: Tensor, labels: Tensor) -> float:
    """Return the share of images whose greatest logit is that of their label."""
    return (network(values).argmax(1) == labels).double().mean().item()


def train(seed: int, validate: bool) -> tuple[nn.Module, dict[str, float]]:
    """Train in floats, then quantized from there; return the network and both accuracies."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    train_pixels, test_pixels, train_labels, test_labels = load_images()
    if validate:
        test_pixels, test_labels = train_pixels[-VALIDATION_IMAGES:], train_labels[-VALIDATION_IMAGES:]
        train_pixels, train_labels = train_pixels[:-VALIDATION_IMAGES], train_labels[:-VALIDATION_IMAGES]
    values, labels = real(train_pixels), torch.from_numpy(train_labels).long()
    test_values, test_targets = real(test_pixels), torch.from_numpy(test_labels).long()

    network = Residual(quantized=False)
    fit(network, values, labels, FLOAT_EPOCHS, FLOAT_RATE)
    found = {"float": accuracy(network.eval(), test_values, test_targets)}

    quantized = Residual(quantized=True)
    quantized.load_state_dict(network.state_dict(), strict=False)
    fit(quantized, values, labels, QUANTIZED_EPOCHS, QUANTIZED_RATE)
    found["quantized"] = accuracy(quantized.eval(), test_values, test_targets)
    return quantized, found


def main() -> None:
    """Train and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=SEED, help="seed of all that is random (default: %(default)s)")
    parser.add_argument("--validate", action="store_true", help="hold out training images, measure with them, write nothing")
    parser.add_argument("--out", type=Path, default=BUILD, help="folder for the weights (default: build/brevitas)")
    args = parser.parse_args()
    start = time.perf_counter()
    network, found = train(args.seed, args.validate)
    if not args.validate:
        args.out.mkdir(parents=True, exist_ok=True)
        torch.save({"weights": network.state_dict(), "accuracy": found}, args.out / f"{NAME}.pt")
    shown = ", ".join(f"{key} {value:.4f}" for key, value in found.items())
    print(f"{NAME}: {shown}; {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
