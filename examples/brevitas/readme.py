"""The README.md of the exported network."""

from __future__ import annotations

from typing import Any

import numpy as np

TEXT = """\
# {name}

Handwritten digits, 8 x 8 pixels: a convolutional network with a residual addition, trained with Brevitas 0.13.4.
Written by `examples/brevitas` (`train.py`, then `export.py`); do not edit.

| accuracy | 400 test images | the stored 200 |
|---|---|---|
| floats | {float_test400:.4f} | |
| quantized | {quant_torch_test400:.4f} | {qonnx_first200:.4f} |

Files; the input `x` is pixel / 16, the batch is 1:

- `model.onnx`: QONNX by `export_qonnx(dynamo=True)`. `model_ts.onnx`: the same by the TorchScript exporter.
  `model_clean.onnx`: that one after `qonnx.util.cleanup`.
- `model_qcdq.onnx`: standard ONNX with QuantizeLinear, Clip and DequantizeLinear by `export_onnx_qcdq`. In onnxruntime,
  turn graph optimizations off: they change low-bit logits.
- `test.npz`: `pixels`, `x`, `labels`, `logits_f32` (qonnx's, of `model_clean.onnx`), and an array of integers for each row
  below that is no weight.
- `weights_int.npz`: `KEY.codes` and `KEY.scale` of weights and bias; `KEY.thresholds` and `KEY.sign` of activations behind
  an accumulator (sign 1: level = how many thresholds t have acc >= t; sign -1: acc <= t), `KEY.table` of an activation that
  is quantized again (level = table[code]).
- `meta.json`: all of this for machines. Logits are the integers of `{output_key}` times `logit_scale`.

| key | kind | from | shape | type | quantization |
|---|---|---|---|---|---|
{rows}

Checked when written: the integers are those of qonnx 1.0.0, every accumulator was computed again with integers, thresholds
(found with 64-bit floats) give every activation, and the logits of all four files agree.

Split: `train_test_split(test_size=400, random_state=0, stratify=labels)` of the 1797 images; the stored 200 are the first of
the 400 test images. Writers overlap between training and test, so accuracies are optimistic.

Licence: trained for this project, under the project's licence. Images: "Optical Recognition of Handwritten Digits"
(E. Alpaydin, C. Kaynak, UCI Machine Learning Repository, 1998, doi 10.24432/C50P49), CC BY 4.0, as bundled with scikit-learn
(BSD-3-Clause); unchanged, 200 of them are in `test.npz`.
"""


def readme(meta: dict[str, Any], test: dict[str, np.ndarray]) -> str:
    """Return the text."""
    rows = "\n".join(row(tensor, test) for tensor in meta["tensors"])
    return TEXT.format(name=meta["name"], output_key=meta["output_key"], rows=rows, **meta["accuracy"])


def row(tensor: dict[str, Any], test: dict[str, np.ndarray]) -> str:
    """Return the line of a tensor."""
    key, scale = tensor["key"], tensor["scale"]
    stored = str(test[key].dtype) if key in test else "weights_int.npz"
    scales = f"{scale[0]:.6g}" if len(scale) == 1 else f"{len(scale)} values"
    quantization = f"scale {scales}"
    if "bits" in tensor:
        sign = "signed" if tensor["signed"] else "unsigned"
        narrow = ", narrow" if tensor["narrow"] else ""
        quantization = f"{tensor['bits']:.0f} bits, {sign}{narrow}, {quantization}"
    inputs = ", ".join(f"`{name}`" for name in tensor["inputs"])
    return f"| `{key}` | {tensor['kind']} | {inputs} | {tensor['shape']} | {stored} | {quantization} |"
