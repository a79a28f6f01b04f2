"""The README.md of an exported network."""

from __future__ import annotations

import numpy as np
from integers import IntegerLayer, IntegerNetwork

ATTRIBUTION = """\
Split: `train_test_split(test_size=400, random_state=0, stratify=labels)` of the 1797 images; the stored 200 are the first of
the 400 test images. Writers overlap between training and test, so accuracies are optimistic.

Licence: trained for this project, under the project's licence. Images: "Optical Recognition of Handwritten Digits"
(E. Alpaydin, C. Kaynak, UCI Machine Learning Repository, 1998, doi 10.24432/C50P49), CC BY 4.0, as bundled with scikit-learn
(BSD-3-Clause); unchanged, 200 of them are in `test.npz`.
"""


def readme(
    network: IntegerNetwork, meta: dict[str, object], arrays: dict[str, np.ndarray], test: dict[str, np.ndarray]
) -> str:
    """Return the text."""
    spec = network.spec
    lines = [
        f"# {spec.name}",
        "",
        f"Handwritten digits, 8 x 8 pixels: {spec.title}.",
        f"Written by `examples/train_digits` (`train.py {spec.name}`, then `export.py {spec.name}`); do not edit.",
        "",
        "| layer | kind | weights | activations read | output |",
        "|---|---|---|---|---|",
        *(layer_row(number, layer) for number, layer in enumerate(network.layers, start=1)),
        "",
        *accuracy_table(meta["accuracy"], spec.hot_swap, spec.input_bits),
        "",
        "Files:",
        "",
        "- `model_quant.onnx`: QONNX with `Quant` (half-integer zero points) and `BatchNormalization`. Its input `x` is",
        "  pixel / 8 - 1, stored as `x_real`. Weights are the floats of training.",
        "- `model_threshold.onnx`: QONNX as FINN has it: integer weights and `MultiThreshold`; input `x_codes`. Outputs",
        "  with falling codes have negated weights: their accumulators are those of `test.npz` with the other sign.",
        f"- `model.npz`, described by `meta.json`: {array_list(arrays)}.",
        *weight_notes(network),
        f"- `test.npz`: {array_list(test)}.",
        "",
        "An M-bit code is an odd integer in [-n, n], n = 2^M - 1, and stands for code / n. `acc` are accumulators of code",
        "products (real: times `acc_scale`), `act` codes behind batch norm, hardtanh and quantizer, `pool` those behind the",
        "max-pool. If an accumulator reaches c thresholds of its output (acc >= threshold), its code is -n + 2 c where",
        "`sign` is 1, n - 2 c where it is -1. Of equal logits the first one counts.",
        "",
        *hot_swap_note(spec.hot_swap),
        ATTRIBUTION,
    ]
    return "\n".join(lines)


def layer_row(number: int, layer: IntegerLayer) -> str:
    """Return the line of a layer in the table."""
    spec = layer.spec
    kind = f"fully connected {layer.codes.shape[1]} to {spec.outputs}"
    if spec.is_convolution:
        pad = "zeros" if spec.pad_is_true_zero else f"the code {layer.pad_code}"
        kind = f"{spec.kernel} x {spec.kernel}, {layer.codes.shape[1]} to {spec.outputs} channels, stride {spec.stride}"
        kind += f", padding {spec.pad} with {pad}"
    kind += f", then max-pool {spec.pool} x {spec.pool}" if spec.pool else ""
    weights = "ternary" if spec.encoding == "ternary" else bits(spec.weight_bits)
    output = bits(spec.out_bits) if spec.out_bits else "logits"
    return f"| l{number} | {kind} | {weights} | {bits(layer.activation_bits)} | {output} |"


def bits(count: int) -> str:
    """Return a number of bits in words."""
    return f"{count} bit" if count == 1 else f"{count} bits"


def accuracy_table(accuracy: object, hot_swap: tuple[int, ...], most: int) -> list[str]:
    """Return the table of accuracies."""
    if not isinstance(accuracy, dict):
        raise TypeError("accuracies are numbers by name")
    rows = [f"| floats (rounding left out) | {accuracy['float_test400']:.4f} | |"]
    cases = [("integers" if not hot_swap else f"integers, {most} bits", "")]
    cases += [(f"the same weights, read at {bits(keep)}", f"_at_{keep}_bits") for keep in hot_swap]
    rows += [
        f"| {name} | {accuracy[f'int_test400{suffix}']:.4f} | {accuracy[f'int_first200{suffix}']:.4f} |"
        for name, suffix in cases
    ]
    return ["| accuracy | 400 test images | the stored 200 |", "|---|---|---|", *rows]


def array_list(arrays: dict[str, np.ndarray]) -> str:
    """Return names, types and shapes."""
    return ", ".join(f"`{name}` {array.dtype}{list(array.shape)}" for name, array in arrays.items())


def weight_notes(network: IntegerNetwork) -> list[str]:
    """Return what is to be said of the scale of weights."""
    if all(layer.spec.encoding == "ternary" for layer in network.layers):
        return ["  A real weight is `weight_scale` times the code -1, 0 or 1."]
    return ["  A real weight is code / (2^K - 1) for K bits."]


def hot_swap_note(hot_swap: tuple[int, ...]) -> list[str]:
    """Return what is to be said of fewer bits."""
    if not hot_swap:
        return []
    return [
        "At b bits, each layer reads the b most significant branches of the codes of its weights and of its input, and its",
        "thresholds are divided by 2^d and rounded up, d being the branches left out of both; what is stored between layers",
        "keeps all of its bits. One set of weights and batch norms was trained for all of these precisions together.",
        "",
    ]
