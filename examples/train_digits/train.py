"""Trains the networks of `network.py` on the digits, with a fixed seed, on one thread of a CPU.

    python examples/train_digits/train.py                  # all networks, two minutes or so
    python examples/train_digits/train.py digits_mlp       # one of them

Each network is trained in floats first (rounding left out), then with the quantizers in place from there. One that serves
several precisions is then trained at all of them together. Weights go to `build/train_digits/NAME.pt`; `export.py` turns
them into files for XnorForge.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import digits
import numpy as np
import torch
from network import NETWORKS, DigitsNetwork, NetworkSpec
from quantizer import BITS_MAX
from torch import Tensor, nn
from torch.nn import functional as F

BUILD = Path(__file__).resolve().parents[2] / "build" / "train_digits"
"""Where the weights go."""

BATCH = 64

VALIDATION_IMAGES = 400
"""Training images that `--validate` measures with instead."""


@dataclass(frozen=True)
class Recipe:
    """How long and how fast each stage trains; chosen with `--validate`, which never looks at a test image."""

    seed: int = 1
    float_epochs: int = 60
    float_rate: float = 3e-3
    quantized_epochs: int = 120
    quantized_rate: float = 2e-3
    joint_epochs: int = 200
    joint_rate: float = 2e-3


@dataclass(frozen=True)
class Images:
    """Real values `[images, ...]` in the shape that a network takes, and labels."""

    values: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Trained:
    """Weights, and accuracies by name."""

    weights: dict[str, Tensor]
    accuracy: dict[str, float]


def make_deterministic(seed: int) -> None:
    """Make the same numbers come out of every run on the same kind of machine."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)


def images(pixels: np.ndarray, labels: np.ndarray, spec: NetworkSpec) -> Images:
    """Return pixels and labels as tensors."""
    values = torch.from_numpy(digits.real(pixels)).reshape(-1, *spec.input_shape)
    return Images(values, torch.from_numpy(labels).long())


def batches(data: Images) -> Iterator[Images]:
    """Yield the images in random order."""
    order = torch.randperm(len(data.labels))
    for start in range(0, len(order), BATCH):
        chosen = order[start : start + BATCH]
        # A batch norm has no use for a batch of a few images.
        if len(chosen) >= BATCH // 2:
            yield Images(data.values[chosen], data.labels[chosen])


def fit(network: nn.Module, data: Images, loss: Callable[[Images], Tensor], epochs: int, rate: float) -> None:
    """Minimize the loss with Adam and a cosine schedule."""
    optimizer = torch.optim.Adam(network.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    for _ in range(epochs):
        for batch in batches(data):
            optimizer.zero_grad()
            loss(batch).backward()
            optimizer.step()
        schedule.step()


def train_float(network: DigitsNetwork, data: Images, recipe: Recipe) -> None:
    """Train without rounding."""
    network.train()

    def loss(batch: Images) -> Tensor:
        return F.cross_entropy(network(batch.values, quantized=False), batch.labels)

    fit(network, data, loss, recipe.float_epochs, recipe.float_rate)


def train_quantized(network: DigitsNetwork, data: Images, recipe: Recipe) -> None:
    """Train with all quantizers in place."""
    network.train()

    def loss(batch: Images) -> Tensor:
        return F.cross_entropy(network(batch.values), batch.labels)

    fit(network, data, loss, recipe.quantized_epochs, recipe.quantized_rate)


def train_jointly(network: DigitsNetwork, data: Images, recipe: Recipe) -> None:
    """Train one set of weights and batch norms for all precisions of the network.

    The hardware has one set of thresholds, scaled by a power of two at fewer bits. So the statistics of the batch norms
    stay those of all bits; their factors and offsets learn. The network before this stage teaches (Hinton et al., arXiv
    1503.02531).
    """
    teacher = copy.deepcopy(network).eval()
    network.eval()

    def loss(batch: Images) -> Tensor:
        with torch.no_grad():
            target = teacher(batch.values).softmax(1)
        outputs = [network(batch.values, keep=keep) for keep in (BITS_MAX, *network.spec.hot_swap)]
        losses = [0.5 * F.cross_entropy(o, batch.labels) + 0.5 * F.cross_entropy(o, target) for o in outputs]
        return torch.stack(losses).mean()

    fit(network, data, loss, recipe.joint_epochs, recipe.joint_rate)


@torch.no_grad()
def accuracy(network: DigitsNetwork, data: Images, quantized: bool = True, keep: int = BITS_MAX) -> float:
    """Return the share of images whose greatest logit is that of their label."""
    network.eval()
    found = network(data.values, quantized, keep).argmax(1)
    return (found == data.labels).double().mean().item()


def train(spec: NetworkSpec, recipe: Recipe, validate: bool) -> Trained:
    """Train a network; return its weights and its accuracies on the images that it was not trained with."""
    make_deterministic(recipe.seed)
    arrays = digits.load()
    data = images(arrays.train_pixels, arrays.train_labels, spec)
    test = images(arrays.test_pixels, arrays.test_labels, spec)
    if validate:
        test = Images(data.values[-VALIDATION_IMAGES:], data.labels[-VALIDATION_IMAGES:])
        data = Images(data.values[:-VALIDATION_IMAGES], data.labels[:-VALIDATION_IMAGES])
    network = DigitsNetwork(spec)
    train_float(network, data, recipe)
    report: dict[str, float] = {"float": accuracy(network, test, quantized=False)}
    train_quantized(network, data, recipe)
    if spec.hot_swap:
        report["before_joint"] = accuracy(network, test)
        report |= {f"before_joint_{keep}": accuracy(network, test, keep=keep) for keep in spec.hot_swap}
        train_jointly(network, data, recipe)
    report["quantized"] = accuracy(network, test)
    report |= {f"quantized_{keep}": accuracy(network, test, keep=keep) for keep in spec.hot_swap}
    return Trained(network.state_dict(), report)


def main() -> None:
    """Train the networks that were named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help=f"of {', '.join(NETWORKS)}; all without it")
    parser.add_argument("--seed", type=int, default=Recipe.seed, help="seed of all that is random (default: %(default)s)")
    parser.add_argument("--validate", action="store_true", help="hold out training images, measure with them, write nothing")
    parser.add_argument("--out", type=Path, default=BUILD, help="folder for the weights (default: build/train_digits)")
    args = parser.parse_args()
    if unknown := set(args.networks) - set(NETWORKS):
        parser.error(f"no network is called {', '.join(sorted(unknown))}; choose of {', '.join(NETWORKS)}")
    for name in args.networks or NETWORKS:
        start = time.perf_counter()
        result = train(NETWORKS[name], Recipe(seed=args.seed), args.validate)
        if not args.validate:
            args.out.mkdir(parents=True, exist_ok=True)
            torch.save({"weights": result.weights, "accuracy": result.accuracy}, args.out / f"{name}.pt")
        shown = ", ".join(f"{key} {value:.4f}" for key, value in result.accuracy.items())
        print(f"{name}: {shown}; {time.perf_counter() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
