"""A second opinion on every integer: the command's results against NumPy and the formulas of the papers.

    make second-opinion                                                        # builds the command, installs NumPy
    python testbenches/second_opinion/numpy_opinion.py target/release/xnorforge --seed 7 --networks 200

It shares no code with XnorForge. Random data go through the command, and come out again:

* encodings: the branches of every encoding and precision, and the quantizers of Sun et al. (arXiv 1905.13389), equations of
  `docs/microarchitecture.md`;
* products: every pair of encodings. The command draws the weights, so a part of the activations is chosen such that the
  results tell them; all other results must follow from these weights;
* networks of thresholds in `.npz`: padding, strides, falling channels, max-pool;
* networks in ONNX, written byte by byte: precisions of all encodings, groups, dilation, padding, residuals, max- and
  average-pool, scales and biases, thresholds and multipliers. All constants are dyadic, so that 64-bit floats are exact.

Exit code 1 at the first integer that differs, with the files that show it.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from onnx_bytes import QONNX, Graph

ENCODINGS = ("bipolar", "unsigned", "signed", "ternary")


class DifferenceError(Exception):
    """An integer that is not the one computed here."""


class RefusedError(Exception):
    """What the command says of an input that it does not take."""


class Command:
    """The command, in a folder of its own."""

    def __init__(self, program: Path, folder: Path) -> None:
        """Remember where."""
        self.program, self.folder, self.compared, self.runs = program.resolve(), folder, 0, 0

    def run(self, *arguments: str) -> None:
        """Run it; it must succeed, or refuse its input."""
        self.runs += 1
        done = subprocess.run([self.program, *arguments], cwd=self.folder, capture_output=True, text=True, check=False)
        if done.returncode == 2:
            raise RefusedError(done.stderr.strip())
        if done.returncode:
            raise DifferenceError(f"{' '.join(arguments)}: exit code {done.returncode}: {done.stderr.strip()}")

    def expect(self, what: str, found: np.ndarray, expected: np.ndarray) -> None:
        """Compare integers."""
        found = np.asarray(found)
        if found.size != expected.size:
            raise DifferenceError(f"{what}: {found.size} numbers, {expected.size} computed here")
        found = found.reshape(expected.shape)
        different = np.argwhere(found != expected)
        if len(different):
            at = tuple(int(i) for i in different[0])
            raise DifferenceError(
                f"{what}: {len(different)} of {found.size} differ; at {at} {found[at]}, {expected[at]} here"
            )
        self.compared += found.size


def numbers_of(encoding: str, bits: int) -> np.ndarray:
    """Return every number of an encoding."""
    whole = np.arange(2**bits)
    return {
        "bipolar": 2 * whole - (2**bits - 1),
        "unsigned": whole,
        "signed": whole - 2 ** (bits - 1),
        "ternary": np.array([-1, 0, 1]),
    }[encoding]


# Encodings.


def check_encodings(command: Command, rng: np.random.Generator) -> None:
    """Check branches against x = (sum of 2^s_i (2 b_i - 1) + z) / d, and that each number has its one code."""
    for encoding, bits in itertools.product(ENCODINGS, range(1, 9)):
        if encoding == "ternary" and bits != 2:
            continue
        values = rng.permutation(np.concatenate([numbers_of(encoding, bits), rng.choice(numbers_of(encoding, bits), 40)]))
        np.save(command.folder / "x.npy", values.astype(np.int32))
        command.run("encode", "x.npy", f"--encoding={encoding}", f"--bits={bits}", "--out=b.npz")
        found = dict(np.load(command.folder / "b.npz"))
        significance = np.array([1, 1]) if encoding == "ternary" else 2 ** np.arange(bits)
        offset, divisor = {"bipolar": (0, 1), "unsigned": (2**bits - 1, 2), "signed": (-1, 2), "ternary": (0, 2)}[encoding]
        branches = 2 * found["branches"].astype(np.int64) - 1
        what = f"encode {encoding} {bits}"
        command.expect(what, np.tensordot(significance, branches, 1) + offset, divisor * values)
        command.expect(
            f"{what}: codes", found["codes"], np.tensordot(2 ** np.arange(bits), found["branches"].astype(np.int64), 1)
        )
        command.expect(f"{what}: values", found["values"], values)


def check_quantizers(command: Command, rng: np.random.Generator) -> None:
    """Check floats: the odd integer v of M bits for which v / (2^M - 1) is nearest to x in [-1, 1]."""
    for bits, span in itertools.product(range(1, 9), ("clip", "max", "tanh")):
        floats = rng.normal(0, 0.8, 300)
        np.save(command.folder / "x.npy", floats)
        command.run("encode", "x.npy", f"--bits={bits}", f"--range={span}", "--out=b.npz")
        found = dict(np.load(command.folder / "b.npz"))
        unit = {
            "clip": np.clip(floats, -1, 1),
            "max": floats / np.abs(floats).max(),
            "tanh": np.tanh(floats) / np.abs(np.tanh(floats)).max(),
        }[span]
        top = 2**bits - 1
        distance = np.abs(unit[:, None] - numbers_of("bipolar", bits) / top)
        nearest = distance.min(axis=1)
        chosen = np.abs(unit - found["values"] / top)
        if (chosen > nearest + 1e-12).any() or (found["values"] % 2 == 0).any() or (np.abs(found["values"]) > top).any():
            raise DifferenceError(f"encode {span} of {bits} bits: not the nearest odd integers")
        scale = np.abs(floats).max() if span == "max" else 1.0
        if abs(found["scale"] * top / scale - 1) > 1e-15:
            raise DifferenceError(f"encode {span} of {bits} bits: scale {found['scale']}")
        command.compared += floats.size


# Products.


def check_products(command: Command, rng: np.random.Generator) -> None:
    """Check products of every pair of encodings, in two precisions each."""
    for activation, weight in itertools.product(ENCODINGS, ENCODINGS):
        for _ in range(2):
            m = 2 if activation == "ternary" else int(rng.integers(1, 9))
            k = 2 if weight == "ternary" else int(rng.integers(1, 9))
            check_product(command, rng, (activation, m), (weight, k))


def check_product(command: Command, rng: np.random.Generator, activation: tuple[str, int], weight: tuple[str, int]) -> None:
    """Check one product: rows that differ in one element tell the weights."""
    n, q, extra = int(rng.integers(1, 80)), int(rng.integers(1, 30)), 12
    legal, weights_legal = numbers_of(*activation), numbers_of(*weight)
    base = rng.choice(legal, n)
    probes = np.tile(base, (n, 1))
    for row in range(n):
        probes[row, row] = rng.choice(legal[legal != base[row]])
    activations = np.concatenate([base[None], probes, rng.choice(legal, (extra, n))])
    np.save(command.folder / "a.npy", activations.astype(np.int32))
    command.run(
        "simulate", "--config=default", "--activation-bits=8", "--weight-bits=8", f"--gemm={len(activations)}x{n}x{q}",
        f"--bits={activation[1]}x{weight[1]}", f"--activation-encoding={activation[0]}", f"--weight-encoding={weight[0]}",
        f"--seed={rng.integers(1 << 30)}", "--input=a.npy", "--dump", "--json=report.json",
    )  # fmt: skip
    results = np.array(json.loads((command.folder / "report.json").read_text())["layers"][0]["accumulators"])
    steps = (probes - base).sum(axis=1)
    weights, rest = np.divmod(results[1 : n + 1] - results[0], steps[:, None])
    what = f"product {n} x {q}, activations {activation}, weights {weight}"
    command.expect(f"{what}: rests", rest, np.zeros_like(rest))
    command.expect(f"{what}: weights of the encoding", np.isin(weights, weights_legal), np.ones_like(weights))
    if weights.size > 200 and len(np.unique(weights)) < min(len(weights_legal), 3):
        raise DifferenceError(f"{what}: the weights are not random")
    command.expect(what, results, activations @ weights)


# Networks.


def convolve(x: np.ndarray, w: np.ndarray, window: dict[str, Any], pad_value: float = 0) -> np.ndarray:
    """Return `[images, outputs, height, width]`, tap by tap."""
    (top, left, bottom, right), groups = window["pads"], window.get("group", 1)
    (sy, sx), (dy, dx) = window["strides"], window.get("dilations", (1, 1))
    x = np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=pad_value)
    kh, kw = w.shape[2:]
    height = (x.shape[2] - dy * (kh - 1) - 1) // sy + 1
    width = (x.shape[3] - dx * (kw - 1) - 1) // sx + 1
    parts = []
    for xg, wg in zip(np.split(x, groups, axis=1), np.split(w, groups, axis=0), strict=True):
        sums = np.zeros((len(x), len(wg), height, width), x.dtype)
        for i, j in itertools.product(range(kh), range(kw)):
            taps = xg[:, :, i * dy : i * dy + sy * (height - 1) + 1 : sy, j * dx : j * dx + sx * (width - 1) + 1 : sx]
            sums += np.einsum("ncyx,oc->noyx", taps, wg[:, :, i, j])
        parts.append(sums)
    return np.concatenate(parts, axis=1)


def pooled(x: np.ndarray, size: int) -> np.ndarray:
    """Return the squares of `size` x `size` as the last dimension."""
    height, width = x.shape[2] // size, x.shape[3] // size
    x = x[:, :, : height * size, : width * size]
    squares = x.reshape(*x.shape[:2], height, size, width, size).swapaxes(3, 4)
    return squares.reshape(*x.shape[:2], height, width, size * size)


def dumped(command: Command) -> list[dict[str, Any]]:
    """Return the layers of the report."""
    return json.loads((command.folder / "report.json").read_text())["layers"]


# An accelerator that every network here fits.
WIDE = (
    "--config=default", "--activation-bits=8", "--weight-bits=8", "--threshold-bits=8", "--activation-words=16384",
    "--residual-words=16384", "--patch-words=4096", "--weight-words=16384", "--constant-words=16384", "--channel-words=1024",
    "--table-words=4096", "--program-words=4096", "--schedule-words=4096", "--layers=64",
)  # fmt: skip


def check_thresholds(command: Command, rng: np.random.Generator, number: int) -> None:
    """Check a network of odd integers in `.npz`: convolutions, thresholds that rise or fall, max-pool, a dense layer."""
    m, channels, size = int(rng.integers(1, 5)), int(rng.integers(1, 5)), int(rng.integers(6, 11))
    x = rng.choice(numbers_of("bipolar", m), (3, channels, size, size))
    np.save(command.folder / "x.npy", x.astype(np.int32))
    layers, arrays, expected = [], {}, []
    count = int(rng.integers(2, 4))
    values, bits = x, m
    for index in range(1, count + 1):
        is_last = index == count
        k, outputs, kernel = int(rng.integers(1, 9)), int(rng.integers(1, 20)), int(rng.integers(1, 4))
        layer: dict[str, Any] = {"kind": "linear" if is_last else "conv", "weight_bits": k, "act_in_bits": bits}
        if is_last:
            values = values.reshape(len(values), -1)
            weights = rng.choice(numbers_of("bipolar", k), (outputs, values.shape[1]))
            sums = values @ weights.T
        else:
            pad, stride = int(rng.integers(0, 2)), int(rng.integers(1, 3))
            kernel = min(kernel, *values.shape[2:])
            pad_code = int(rng.choice(numbers_of("bipolar", bits)))
            layer |= {"stride": stride, "pad": pad, "pad_code": pad_code, "pad_is_true_zero": bool(rng.integers(0, 2))}
            weights = rng.choice(numbers_of("bipolar", k), (outputs, values.shape[1], kernel, kernel))
            window = {"pads": (pad,) * 4, "strides": (stride, stride)}
            sums = convolve(values, weights, window, 0 if layer["pad_is_true_zero"] else pad_code)
        arrays[f"l{index}.weight_codes"] = weights.astype(np.int16)
        expected.append((f"l{index}", "accumulators", sums))
        if not is_last:
            bits = int(rng.integers(1, 4))
            low, high = int(sums.min()) - 3, int(sums.max()) + 3
            thresholds = np.sort(rng.integers(low, high, (outputs, 2**bits - 1)), axis=1)
            sign = rng.choice([-1, 1], outputs)
            arrays |= {f"l{index}.thresholds": thresholds.astype(np.int32), f"l{index}.sign": sign.astype(np.int8)}
            reached = (sums[..., None] >= thresholds[:, None, None]).sum(axis=-1)
            values = (2 * reached - (2**bits - 1)) * sign[:, None, None]
            expected.append((f"l{index}", "codes", values))
            layer["out_bits"] = bits
            if min(values.shape[2:]) >= 2 and rng.integers(0, 2):
                layer["maxpool_after"] = 2
                values = pooled(values, 2).max(axis=-1)
                expected.append((f"l{index}.pool", "codes", values))
        layers.append(layer)
    meta = {"encoding": "odd integer", "input": {"shape": list(x.shape[1:]), "bits": m}, "layers": layers}
    np.savez(command.folder / "model.npz", **arrays)
    (command.folder / "meta.json").write_text(json.dumps(meta))
    command.run("simulate", *WIDE, "--model=model.npz", "--input=x.npy", "--dump", "--json=report.json")
    compare(command, f"network of thresholds {number}", expected)


def compare(command: Command, what: str, expected: list[tuple[str, str, np.ndarray]]) -> None:
    """Compare what was dumped of layers with what is computed here."""
    layers = {layer["name"]: layer for layer in dumped(command)}
    for name, field, integers in expected:
        if name not in layers or field not in layers[name]:
            raise DifferenceError(f"{what}: the report has no {field} of {name}")
        command.expect(f"{what}: {field} of {name}", np.array(layers[name][field]), integers)


class Value:
    """A tensor of real numbers that is a multiple of `unit`, with its name in the graph."""

    def __init__(self, name: str, real: np.ndarray, unit: float, pads_zero: bool) -> None:
        """`pads_zero`: whether 0 is one of its numbers."""
        self.name, self.real, self.unit, self.pads_zero = name, real, unit, pads_zero

    @property
    def integers(self) -> np.ndarray:
        """Return the numbers of its encoding."""
        return self.real / self.unit


class Maker:
    """Makes a random network in ONNX, and computes it at the same time."""

    def __init__(self, rng: np.random.Generator) -> None:
        """Begin with the input's quantizer."""
        self.rng, self.count = rng, 0
        shape = (2, int(rng.integers(1, 6)), int(rng.integers(5, 10)), int(rng.integers(5, 10)))
        self.images = rng.integers(-64, 64, shape) / 16.0
        self.graph = Graph("random", "x", shape)
        self.expected: list[tuple[str, str, np.ndarray]] = []
        self.value = self.quantized("x", self.images, int(rng.integers(1, 9)))

    def name(self, kind: str) -> str:
        """Return a new name."""
        self.count += 1
        return f"{kind}{self.count}"

    def dyadic(self, low: int, high: int) -> float:
        """Return a power of two."""
        return float(2.0 ** self.rng.integers(low, high))

    def constant(self, values: np.ndarray | float) -> str:
        """Add a constant of floats."""
        return self.graph.constant(self.name("c"), np.asarray(values, np.float64))

    def quant(self, name: str, real: np.ndarray, bits: int, scale: float, kind: str) -> Value:
        """Add a `Quant`: `unsigned`, `signed`, `narrow` (signed), or `odd` (unsigned around half of its range)."""
        signed, narrow = int(kind in ("signed", "narrow")), int(kind == "narrow")
        low = -(2 ** (bits - 1)) + narrow if signed else 0
        high = 2 ** (bits - 1) - 1 if signed else 2**bits - 1
        zero = high / 2 if kind == "odd" else 0.0
        inputs = [name, self.constant(scale), self.constant(zero), self.constant(float(bits))]
        output = self.graph.node(
            "Quant", inputs, self.name("q"), self.name("Quant"), QONNX, signed=signed, narrow=narrow, rounding_mode="ROUND"
        )
        integers = np.clip(np.rint(real / scale + zero), low, high)
        return Value(output, (integers - zero) * scale, scale / 2 if kind == "odd" else scale, kind != "odd")

    def quantized(self, name: str, real: np.ndarray, bits: int) -> Value:
        """Quantize activations so that the levels are used."""
        kind = str(self.rng.choice(["unsigned", "odd"] if bits == 1 else ["unsigned", "signed", "narrow", "odd"]))
        spread = max(float(np.abs(real).max()), 2.0**-6) / 2 ** max(bits - 1, 0)
        scale = 2.0 ** (np.round(np.log2(spread)) + self.rng.integers(-1, 2))
        return self.quant(name, real, bits, scale, kind)

    def weights(self, shape: tuple[int, ...]) -> Value:
        """Return constants of a random encoding."""
        kind, bits = str(self.rng.choice(["narrow", "signed", "odd", "ternary"])), int(self.rng.integers(2, 9))
        if kind == "ternary":
            kind, bits = "narrow", 2
        if kind == "odd":
            bits = int(self.rng.integers(1, 9))
        scale = self.dyadic(-8, -2)
        real = self.rng.integers(-(2**bits), 2**bits + 1, shape) / 2.0 * scale
        return self.quant(self.constant(real), real, bits, scale, kind)

    def scaled(self, name: str, real: np.ndarray) -> tuple[str, np.ndarray]:
        """Append random operations on single numbers, with dyadic constants that 64-bit floats keep exact."""
        per_channel = (1, real.shape[1], *(1,) * (real.ndim - 2))
        for operator in self.rng.choice(["Mul", "Add", "Sub", "Relu", "Neg", "Clip"], int(self.rng.integers(0, 4))):
            shape = per_channel if self.rng.integers(0, 2) else ()
            if operator in ("Relu", "Neg"):
                name = self.graph.node(operator, [name], self.name("t"), self.name(operator))
                real = np.maximum(real, 0) if operator == "Relu" else -real
                continue
            reach = max(float(np.abs(real).max()), 0.25)
            if operator == "Clip":
                low, high = -np.ceil(reach / 2), np.ceil(reach / 4)
                name = self.graph.node(
                    "Clip", [name, self.constant(low), self.constant(high)], self.name("t"), self.name("Clip")
                )
                real = np.clip(real, low, high)
                continue
            if operator == "Mul":
                constant = self.rng.choice([-1.5, -1, 0.5, 0.75, 1, 1.25, 2], shape)
            else:
                constant = np.round(self.rng.uniform(-reach, reach, shape) * 8) / 8
            name = self.graph.node(str(operator), [name, self.constant(constant)], self.name("t"), self.name(str(operator)))
            real = {"Mul": np.multiply, "Add": np.add, "Sub": np.subtract}[str(operator)](real, constant)
        return name, real

    def ended(self, name: str, real: np.ndarray) -> Value:
        """End a chain with a quantizer: uniform, or a list of thresholds for each channel."""
        if self.rng.random() < 0.7:
            return self.quantized(name, real, int(self.rng.integers(1, 9)))
        bits = int(self.rng.integers(1, 4))
        steps = 2**bits - 1
        reach = max(float(np.abs(real).max()), 0.25)
        thresholds = np.sort(np.round(self.rng.uniform(-reach, reach, (real.shape[1], steps)) * 16) / 16, axis=1)
        thresholds = thresholds.astype(np.float32).astype(np.float64)
        is_odd = bool(self.rng.integers(0, 2))
        scale, bias = (2.0, float(-steps)) if is_odd else (1.0, float(-self.rng.integers(0, 2) * 2 ** (bits - 1)))
        output = self.graph.node(
            "MultiThreshold", [name, self.constant(thresholds)], self.name("q"), self.name("MultiThreshold"), QONNX,
            out_scale=scale, out_bias=bias, out_dtype="INT8",
        )  # fmt: skip
        reached = (real[..., None] >= thresholds.reshape(real.shape[1], *(1,) * (real.ndim - 2), steps)).sum(axis=-1)
        return Value(output, reached * scale + bias, 1.0, not is_odd)

    def convolution(self) -> None:
        """Append a convolution, perhaps with a residual, and its quantizer."""
        x, rng = self.value, self.rng
        channels, height, width = x.real.shape[1:]
        group = int(rng.choice([g for g in (1, channels) if channels % g == 0]))
        outputs = group * int(rng.integers(1, 4)) if group > 1 else int(rng.integers(1, 16))
        is_residual = x.pads_zero and group == 1 and rng.random() < 0.4
        kernel, dilation = (1, 1) if is_residual else (int(rng.integers(1, 4)), int(rng.integers(1, 3)))
        kernel = kernel if dilation * (kernel - 1) < min(height, width) else 1
        stride = 1 if is_residual else int(rng.integers(1, 3))
        pads = tuple(int(p) for p in rng.integers(0, 2, 4)) if x.pads_zero else (0,) * 4
        if is_residual:
            outputs, kernel, pads = channels, 3, (1,) * 4
        w = self.weights((outputs, channels // group, kernel, kernel))
        window = {"pads": pads, "strides": (stride, stride), "dilations": (dilation, dilation), "group": group}
        layer = self.name("Conv")
        name = self.graph.node(
            "Conv", [x.name, w.name], self.name("t"), layer,
            kernel_shape=(kernel, kernel), pads=pads, strides=(stride, stride), dilations=(dilation, dilation), group=group,
        )  # fmt: skip
        real = convolve(x.real, w.real, window)
        if not is_residual:
            self.expected.append((layer, "accumulators", real / (x.unit * w.unit)))
            name, real = self.scaled(name, real)
        else:
            name, real = self.graph.node("Add", [name, x.name], self.name("t"), self.name("Add")), real + x.real
        self.value = self.ended(name, real)
        self.expected.append((layer, "codes", self.value.integers))

    def sum_of_quantized(self) -> None:
        """Append a sum of two quantized convolutions of the same scale."""
        x, outputs = self.value, int(self.rng.integers(1, 8))
        scale, parts = self.dyadic(-1, 3), []
        for _ in range(2):
            w, layer = self.weights((outputs, x.real.shape[1], 1, 1)), self.name("Conv")
            name = self.graph.node(
                "Conv", [x.name, w.name], self.name("t"), layer, kernel_shape=(1, 1), pads=(0,) * 4, strides=(1, 1)
            )
            real = convolve(x.real, w.real, {"pads": (0,) * 4, "strides": (1, 1)})
            self.expected.append((layer, "accumulators", real / (x.unit * w.unit)))
            parts.append(self.quant(name, real, int(self.rng.integers(2, 5)), scale, "signed"))
        name = self.graph.node("Add", [part.name for part in parts], self.name("t"), self.name("Add"))
        # A quantizer that changes no number is no layer, and leaves the numbers in units of the sum: this one is coarser.
        kind, bits = str(self.rng.choice(["signed", "narrow", "odd"])), int(self.rng.integers(2, 7))
        self.value = self.quant(name, parts[0].real + parts[1].real, bits, scale * self.dyadic(1, 3), kind)

    def pool(self) -> None:
        """Append a max-pool, or an average-pool of four with its quantizer."""
        if min(self.value.real.shape[2:]) < 2:
            return
        kind = str(self.rng.choice(["MaxPool", "AveragePool"]))
        layer = self.name(kind)
        name = self.graph.node(kind, [self.value.name], self.name("t"), layer, kernel_shape=(2, 2), strides=(2, 2))
        squares = pooled(self.value.real, 2)
        if kind == "MaxPool":
            self.value = Value(name, squares.max(axis=-1), self.value.unit, self.value.pads_zero)
        else:
            self.value = self.ended(name, squares.sum(axis=-1) / 4)
        self.expected.append((layer, "codes", self.value.integers))

    def dense(self) -> bytes:
        """Append the last product; return the file."""
        x = self.value
        flat = self.graph.node("Flatten", [x.name], self.name("t"), self.name("Flatten"), axis=1)
        real = x.real.reshape(len(x.real), -1)
        w, layer = self.weights((real.shape[1], int(self.rng.integers(1, 12)))), self.name("MatMul")
        self.graph.node("MatMul", [flat, w.name], "y", layer)
        real = real @ w.real
        self.expected.append((layer, "accumulators", real / (x.unit * w.unit)))
        return self.graph.file("y", real.shape)


def check_onnx(command: Command, rng: np.random.Generator, number: int) -> str:
    """Check a random network in ONNX. Some have no exact form: what is said of such a one is returned."""
    maker = Maker(rng)
    for step in rng.choice(["convolution", "convolution", "sum_of_quantized", "pool"], int(rng.integers(1, 5))):
        getattr(maker, str(step))()
    model = maker.dense()
    (command.folder / "model.onnx").write_bytes(model)
    np.save(command.folder / "images.npy", maker.images.astype(np.float32))
    try:
        command.run("simulate", *WIDE, "--model=model.onnx", "--input=images.npy", "--exact", "--dump", "--json=report.json")
    except RefusedError as refusal:
        return str(refusal)
    compare(command, f"ONNX network {number}", maker.expected)
    return ""


def check_networks(command: Command, seed: int, count: int) -> None:
    """Check networks of each kind; no more than a fifth of those in ONNX may be refused."""
    for number in range(count):
        check_thresholds(command, np.random.default_rng([seed, 0, number]), number)
    reasons = [check_onnx(command, np.random.default_rng([seed, 1, number]), number) for number in range(count)]
    refused = [reason for reason in reasons if reason]
    for reason in refused:
        print(f"  refused: {reason}")
    if 5 * len(refused) > count:
        raise DifferenceError(f"{len(refused)} of {count} networks are refused")


def main() -> int:
    """Check everything once, and so many networks of each kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=Path, help="the command to check")
    parser.add_argument("--seed", type=int, default=1, help="of all random data (1)")
    parser.add_argument("--networks", type=int, default=60, help="of each kind (60)")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}")
    with tempfile.TemporaryDirectory() as folder:
        command = Command(arguments.program, Path(folder))
        seed = arguments.seed
        checks = {
            "encodings": lambda: check_encodings(command, np.random.default_rng([seed, 2])),
            "quantizers": lambda: check_quantizers(command, np.random.default_rng([seed, 3])),
            "products": lambda: check_products(command, np.random.default_rng([seed, 4])),
            "networks": lambda: check_networks(command, seed, arguments.networks),
        }
        for name, check in checks.items():
            before = command.compared, command.runs
            try:
                check()
            except (DifferenceError, RefusedError) as error:
                kept = Path(tempfile.mkdtemp(prefix="second-opinion-")) / "files"
                shutil.copytree(folder, kept)
                print(f"{name}: {error}\n(files: {kept}, seed {seed})", file=sys.stderr)
                return 1
            print(f"{name}: {command.compared - before[0]:,} integers of {command.runs - before[1]} runs are equal")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
