"""Recomputes every stored integer of the committed models with NumPy alone.

    python examples/check_models.py                        # all of examples/models; a few seconds
    python examples/check_models.py examples/models/digits_mlp

It shares no code with XnorForge and none with the training: it reads `meta.json`, `model.npz` and `test.npz`, multiplies,
counts thresholds and compares. Input codes come from the pixels, thresholds are checked against the batch norms that they
stand for, and fewer bits are read as the hardware reads them. Exit code 1 if one integer differs.

Models of `examples/brevitas` have another layout (`tensors` in `meta.json`): the integers of each node of the graph, and
`weights_int.npz` in the place of `model.npz`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

MODELS = Path(__file__).resolve().parent / "models"

Arrays = dict[str, np.ndarray]
Meta = dict[str, Any]


class DifferenceError(Exception):
    """A stored number that is not the one computed here."""


def expect(name: str, found: np.ndarray, stored: np.ndarray) -> int:
    """Compare integers; return how many there were."""
    if found.shape != stored.shape:
        raise DifferenceError(f"{name}: shape {stored.shape} is stored, {found.shape} computed")
    different = np.argwhere(found != stored)
    if len(different):
        at = tuple(int(i) for i in different[0])
        raise DifferenceError(
            f"{name}: {len(different)} of {found.size} integers differ; at {at} {stored[at]} is stored, {found[at]} computed"
        )
    return int(found.size)


def odd_code(pixels: np.ndarray, bits: int) -> np.ndarray:
    """Return the codes of pixels 0 to 16, in integers: step = pixel * n / 16, halves to the even step."""
    n = 2**bits - 1
    whole, rest = np.divmod(pixels.astype(np.int64) * n, 16)
    steps = whole + (rest > 8) + ((rest == 8) & (whole % 2 == 1))
    return 2 * steps - n


def most_significant(codes: np.ndarray, bits: int, keep: int) -> np.ndarray:
    """Return the codes that the `keep` most significant bits of codes are."""
    if keep >= bits:
        return codes
    offset = (codes.astype(np.int64) + 2**bits - 1) >> 1
    return 2 * (offset >> (bits - keep)) - (2**keep - 1)


def convolve(values: np.ndarray, weights: np.ndarray, stride: int, pad: int, pad_code: int) -> np.ndarray:
    """Return accumulators `[images, outputs, height, width]`, tap by tap."""
    values = np.pad(values, ((0, 0), (0, 0), (pad, pad), (pad, pad)), constant_values=pad_code)
    kernel_height, kernel_width = weights.shape[2:]
    height = (values.shape[2] - kernel_height) // stride + 1
    width = (values.shape[3] - kernel_width) // stride + 1
    sums = np.zeros((len(values), len(weights), height, width), np.int64)
    for row in range(kernel_height):
        for column in range(kernel_width):
            under = values[:, :, row : row + stride * height : stride, column : column + stride * width : stride]
            sums += np.einsum("ncyx,oc->noyx", under, weights[:, :, row, column])
    return sums


def max_pool(values: np.ndarray, size: int) -> np.ndarray:
    """Return the largest number of each square."""
    places = [values[:, :, row::size, column::size] for row in range(size) for column in range(size)]
    return np.maximum.reduce(places)


def requantize(sums: np.ndarray, thresholds: np.ndarray, sign: np.ndarray) -> np.ndarray:
    """Return codes: -n + 2 * (thresholds reached), negated where the sign is -1."""
    per_output = (len(sign), *(1,) * (sums.ndim - 2))
    reached = sum((sums >= column.reshape(per_output)).astype(np.int64) for column in thresholds.astype(np.int64).T)
    return (2 * reached - thresholds.shape[1]) * sign.astype(np.int64).reshape(per_output)


def check_thresholds(number: int, layer: Meta, model: Arrays) -> int:
    """Check that thresholds stand where the batch norm crosses from one code to the next, on both sides of each."""
    norm = {key: model[f"l{number}.bn.{key}"].astype(np.float64) for key in ("gamma", "beta", "mean", "var")}
    gain = norm["gamma"] / np.sqrt(norm["var"] + layer["bn_eps"])
    thresholds, sign = model[f"l{number}.thresholds"].astype(np.int64), model[f"l{number}.sign"]
    expect(f"l{number}.sign", np.where(gain >= 0, 1, -1), sign)
    n, bound = 2 ** layer["out_bits"] - 1, layer["acc_bound"]
    expect(f"l{number}.thresholds in order", np.sort(thresholds, axis=1), thresholds)
    for k in range(n):
        for accumulator, reached in ((thresholds[:, k], True), (thresholds[:, k] - 1, False)):
            real = (accumulator * np.asarray(layer["acc_scale"]) - norm["mean"]) * gain + norm["beta"]
            step = np.round((np.clip(real, -1, 1) + 1) / 2 * n)
            passed = np.where(sign > 0, step, n - step)
            possible = np.abs(accumulator) <= bound
            wrong = possible & ((passed > k) != reached)
            if wrong.any():
                raise DifferenceError(f"l{number}.thresholds[{wrong.argmax()}, {k}] does not follow from the batch norm")
    return int(thresholds.size)


def run(meta: Meta, model: Arrays, codes: np.ndarray, keep: int) -> Arrays:
    """Return the integers of every layer, reading at most `keep` bits of activations and weights."""
    found: Arrays = {}
    values, bits = codes, meta["input"]["bits"]
    for number, layer in enumerate(meta["layers"], start=1):
        weights = model[f"l{number}.weight_codes"].astype(np.int64)
        weight_bits, read = layer["weight_bits"], min(bits, keep)
        if layer.get("weight_encoding") != "ternary":
            weights, weight_bits = most_significant(weights, weight_bits, keep), min(weight_bits, keep)
        values = most_significant(values, bits, keep)
        if layer["kind"] == "conv":
            pad_code = 0 if layer["pad_is_true_zero"] else most_significant(np.array(layer["pad_code"]), bits, keep)
            sums = convolve(values, weights, layer["stride"], layer["pad"], int(pad_code))
        else:
            sums = values.reshape(len(values), -1) @ weights.T
        found[f"l{number}_acc"] = sums
        if "out_bits" not in layer:
            continue
        # 2^left_out of the full accumulators are one of these; a threshold is reached from the next one upwards.
        left_out = bits - read + layer["weight_bits"] - weight_bits
        thresholds = -(-model[f"l{number}.thresholds"].astype(np.int64) // 2**left_out)
        values, bits = requantize(sums, thresholds, model[f"l{number}.sign"]), layer["out_bits"]
        found[f"l{number}_act"] = values
        if layer["maxpool_after"]:
            values = max_pool(values, layer["maxpool_after"])
            found[f"l{number}_pool"] = values
    return found


def check_layers(meta: Meta, folder: Path) -> int:
    """Check a model of `train_digits`; return how many integers were compared."""
    model, test = dict(np.load(folder / "model.npz")), dict(np.load(folder / "test.npz"))
    bits, count = meta["input"]["bits"], 0
    codes = odd_code(test["pixels"], bits).reshape(-1, *meta["input"]["shape"])
    count += expect("x_codes", codes, test["x_codes"])
    expect("x_real", test["pixels"].reshape(codes.shape) / np.float32(8) - 1, test["x_real"])
    for number, layer in enumerate(meta["layers"], start=1):
        if "out_bits" in layer:
            count += check_thresholds(number, layer, model)
    found = run(meta, model, codes, keep=8)
    for name, integers in found.items():
        count += expect(name, integers, test[name])
    last = f"l{len(meta['layers'])}_acc"
    check_accuracy(meta, "int_first200", found[last], test["labels"])
    for keep in meta.get("hot_swap", [])[1:]:
        logits = run(meta, model, codes, keep)[last]
        count += expect(f"{last}_at_{keep}_bits", logits, test[f"{last}_at_{keep}_bits"])
        check_accuracy(meta, f"int_first200_at_{keep}_bits", logits, test["labels"])
    return count


def check_tensors(meta: Meta, folder: Path) -> int:
    """Check a model of `brevitas`; return how many integers were compared."""
    weights, test = dict(np.load(folder / "weights_int.npz")), dict(np.load(folder / "test.npz"))
    expect("x", test["pixels"].reshape(test["x"].shape) / np.float32(16), test["x"])
    found: Arrays = {}
    count = 0
    for tensor in meta["tensors"]:
        key = tensor["key"]
        if tensor["kind"] == "weight/bias":
            found[key] = weights[f"{key}.codes"].astype(np.int64)
            continue
        inputs = [found[name] for name in tensor["inputs"]]
        found[key] = tensor_integers(tensor, inputs, weights, test["x"])
        count += expect(key, found[key], test[key])
    logits = found[meta["output_key"]]
    check_accuracy(meta, "qonnx_first200", logits, test["labels"])
    if not np.allclose(logits * meta["logit_scale"][0], test["logits_f32"], rtol=0, atol=1e-3):
        raise DifferenceError("logits_f32 are not the integers times logit_scale")
    return count


def tensor_integers(tensor: Meta, inputs: list[np.ndarray], weights: Arrays, images: np.ndarray) -> np.ndarray:
    """Return the integers of a node from those of its inputs."""
    key = tensor["key"]
    if tensor["op"] == "Quant":
        if not inputs:
            levels = np.round(np.clip(images / np.float32(tensor["scale"][0]), 0, 2 ** tensor["bits"] - 1))
            return levels.astype(np.int64)
        if f"{key}.table" in weights:
            return weights[f"{key}.table"].astype(np.int64)[inputs[0]]
        return levels_by_thresholds(inputs[0], weights[f"{key}.thresholds"], weights[f"{key}.sign"])
    if tensor["op"] == "MaxPool":
        return max_pool(inputs[0], tensor["kernel"])
    if tensor["op"] == "Add":
        return inputs[0] + inputs[1]
    if tensor["op"] == "Conv":
        sums = convolve(inputs[0], inputs[1], tensor["stride"], tensor["pad"], pad_code=0)
        per_output: tuple[int, ...] = (-1, 1, 1)
    else:
        factors = inputs[1].T if tensor["outputs_first"] else inputs[1]
        sums = inputs[0].reshape(len(inputs[0]), -1) @ factors
        per_output = (-1,)
    return sums + (inputs[2].reshape(per_output) if len(inputs) > 2 else 0)


def levels_by_thresholds(sums: np.ndarray, thresholds: np.ndarray, sign: np.ndarray) -> np.ndarray:
    """Return levels: how many thresholds t of the channel have sum >= t, or sum <= t where the sign is -1."""
    per_output = (len(sign), *(1,) * (sums.ndim - 2))
    sign = sign.astype(np.int64).reshape(per_output)
    columns = [column.reshape(per_output) for column in thresholds.astype(np.int64).T]
    return sum((sign * sums >= sign * column).astype(np.int64) for column in columns)


def check_accuracy(meta: Meta, name: str, logits: np.ndarray, labels: np.ndarray) -> None:
    """Check a stated accuracy; of equal logits the first one counts."""
    found = float((logits.argmax(axis=1) == labels).mean())
    if abs(found - meta["accuracy"][name]) > 1e-6:
        raise DifferenceError(f"accuracy {name}: {meta['accuracy'][name]} is stated, {found} computed")


def main() -> int:
    """Check the models that were named, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", type=Path, metavar="FOLDER", help="folders of models; all of examples/models")
    folders = parser.parse_args().models or sorted(path.parent for path in MODELS.glob("*/meta.json"))
    if not folders:
        parser.error(f"no model is in {MODELS}")
    failures = 0
    for folder in folders:
        try:
            meta = json.loads((folder / "meta.json").read_text())
            count = check_tensors(meta, folder) if "tensors" in meta else check_layers(meta, folder)
            print(f"{folder.name}: {count:,} integers are as stored")
        except DifferenceError as error:
            failures += 1
            print(f"{folder.name}: {error}")
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
