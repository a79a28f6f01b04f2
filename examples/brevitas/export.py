"""Writes the trained residual network as Brevitas exports it, with the integers of every node.

    python examples/brevitas/export.py         # reads what train.py wrote; writes examples/models/digits_residual

- `model.onnx`: QONNX by the exporter that torch uses today (`dynamo=True`)
- `model_ts.onnx`: QONNX by the TorchScript exporter; `model_clean.onnx`: the same after `qonnx.util.cleanup`
- `model_qcdq.onnx`: standard ONNX with QuantizeLinear and DequantizeLinear (`export_onnx_qcdq`)

The integers in `test.npz` are those that qonnx's executor gives for `model_clean.onnx`. Each accumulator is computed again
with integers, and batch norms are folded to thresholds, which must give the same activations. All four files must give the
same logits. Stack traces and paths that the exporters leave in the files are removed.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import numpy_helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.infer_shapes import InferShapes
from qonnx.util.cleanup import cleanup_model
from readme import readme
from torch.nn import functional as F
from train import BUILD, NAME, Residual, load_images, real

from brevitas.export import export_onnx_qcdq, export_qonnx

MODELS = Path(__file__).resolve().parents[1] / "models"
STORED_IMAGES = 200

QONNX_OPSET, QCDQ_OPSET = 20, 18

STEP_ERROR_MAX = 0.02
"""How far a number in 32-bit floats may be from the integer that it stands for, in steps."""

LOGITS_ERROR_MAX = 1e-4
"""How far logits of two files may be apart; their sums are in different orders."""


@dataclass
class Integers:
    """A tensor of integers: what a node of the graph gives, or a weight."""

    key: str
    node: onnx.NodeProto
    kind: str
    codes: np.ndarray
    scale: np.ndarray
    """32-bit floats; one entry, or one for each output channel."""
    limit: int = 0
    """The greatest possible magnitude of an activation."""
    inputs: list[str] = field(default_factory=list)
    """Keys of the integers that it is computed from."""
    described: dict[str, Any] = field(default_factory=dict)
    """What `meta.json` says besides."""
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    """What `weights_int.npz` holds of it."""


def strip(model: onnx.ModelProto) -> onnx.ModelProto:
    """Remove stack traces, class hierarchies and paths of the machine."""
    graph = model.graph
    values = [*graph.input, *graph.output, *graph.value_info, *graph.initializer]
    for part in (model, graph, *graph.node, *model.functions, *values):
        del part.metadata_props[:]
        part.ClearField("doc_string")
    text = model.SerializeToString()
    for leak in (b"site-packages", b'.py"', b"/home/", b"/root/", b"/tmp/"):
        if leak in text:
            raise SystemExit(f"an exported file still holds {leak!r}")
    return model


def exported(network: torch.nn.Module) -> dict[str, onnx.ModelProto]:
    """Return the files by name."""
    image = torch.zeros(1, 1, 8, 8)
    names = {"input_names": ["x"], "output_names": ["logits"]}

    def by(function: Callable[..., object], **options: object) -> onnx.ModelProto:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            function(network, args=image, export_path=str(path), **names, **options)
            return strip(onnx.load(path))

    models = {
        "model.onnx": by(export_qonnx, dynamo=True, optimize=True, verbose=False, opset_version=QONNX_OPSET),
        "model_ts.onnx": by(export_qonnx, dynamo=False, opset_version=QONNX_OPSET),
        "model_qcdq.onnx": by(export_onnx_qcdq, dynamo=False, opset_version=QCDQ_OPSET),
    }
    clean = cleanup_model(ModelWrapper(models["model_ts.onnx"], make_deepcopy=True))
    models["model_clean.onnx"] = strip(clean.model)
    return models


def run_qonnx(model: onnx.ModelProto, images: np.ndarray) -> dict[str, np.ndarray]:
    """Return every tensor behind the input that qonnx's executor gives, for images one by one; weights once."""
    wrapper = ModelWrapper(model, make_deepcopy=True).transform(InferShapes())
    rows = [
        execute_onnx(wrapper, {model.graph.input[0].name: image[None]}, return_full_exec_context=True) for image in images
    ]
    constants = {tensor.name for tensor in model.graph.initializer}
    found: dict[str, np.ndarray] = {}
    for node in model.graph.node:
        name = node.output[0]
        if set(node.input) <= constants:
            constants.add(name)
            found[name] = rows[0][name]
        else:
            found[name] = np.concatenate([row[name] for row in rows])
    return found


def run_onnxruntime(model: onnx.ModelProto, images: np.ndarray) -> np.ndarray:
    """Return the logits by onnxruntime, its graph optimizations off: they change low-bit logits."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    # No warnings that weights are graph inputs too, as Brevitas exports them.
    options.log_severity_level = 3
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    return np.concatenate([session.run(None, {session.get_inputs()[0].name: image[None]})[0] for image in images])


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """Return the attributes of a node."""
    return {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}


def steps(values: np.ndarray, scale: np.ndarray, axis: int) -> np.ndarray:
    """Return the integers that real values stand for, with one scale or one for each entry of a dimension."""
    scale = scale.astype(np.float64).reshape((1,) * axis + (-1,) + (1,) * (values.ndim - axis - 1))
    quotients = values.astype(np.float64) / scale
    if np.abs(quotients - np.round(quotients)).max() > STEP_ERROR_MAX:
        raise SystemExit("a number of the graph is no multiple of its scale")
    return np.round(quotients).astype(np.int64)


class Tracer:
    """Walks through a cleaned graph and finds the integers behind its floats."""

    def __init__(self, model: onnx.ModelProto, values: dict[str, np.ndarray]) -> None:
        self.values = values
        self.constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
        self.producers = {node.output[0]: node for node in model.graph.node}
        self.found: dict[str, Integers] = {}
        """By tensor; tensors that hold the same integers share an entry."""
        self.input_name = model.graph.input[0].name
        for index, node in enumerate(model.graph.node):
            self.visit(f"n{index:02}_{node.op_type}", node)

    def visit(self, key: str, node: onnx.NodeProto) -> None:
        """Find the integers of a node's output."""
        match node.op_type:
            case "Quant":
                self.found[node.output[0]] = self.quant(key, node)
            case "Conv" | "Gemm" | "MatMul":
                self.found[node.output[0]] = self.product(key, node)
            case "MaxPool" | "Add":
                self.found[node.output[0]] = self.combined(key, node)
            case "Flatten" | "Reshape":
                self.found[node.output[0]] = self.found[node.input[0]]
            case "BatchNormalization" | "Relu":
                # Part of the quantizer behind them.
                pass
            case _:
                raise SystemExit(f"{key}: an operation that this script does not know")

    def quant(self, key: str, node: onnx.NodeProto) -> Integers:
        """Return the integers of a quantizer of weights or activations."""
        _, scale, zero_point, bits = node.input
        if np.any(self.constants[zero_point] != 0):
            raise SystemExit(f"{key}: a zero point")
        options, scale = attributes(node), self.constants[scale].reshape(-1)
        described = {"bits": float(self.constants[bits]), "signed": options["signed"], "narrow": options["narrow"]}
        codes = steps(self.values[node.output[0]], scale, axis=0)
        is_weight = node.input[0] in self.constants
        kind = "weight/bias" if is_weight else "activation"
        found = Integers(key, node, kind, codes, scale, 2 ** int(described["bits"]) - 1, described=described)
        if is_weight:
            found.arrays = {"codes": codes.astype(np.int32 if codes.ndim == 1 else np.int8), "scale": scale}
        elif node.input[0] != self.input_name:
            self.fold(found)
        return found

    def fold(self, found: Integers) -> None:
        """Replace what stands in front of an activation's quantizer: by thresholds of an accumulator, or by a table."""
        chain, tensor = [], found.node.input[0]
        while tensor not in self.found:
            node = self.producers[tensor]
            chain.append(node)
            tensor = node.input[0]
        source = self.found[tensor]
        found.inputs = [source.key]
        if source.kind != "accumulator":
            numbers = np.arange(source.limit + 1)
            table = self.levels(found, chain, numbers[None] * source.scale.astype(np.float64)[:, None])[0]
            found.arrays = {"table": table.astype(np.int32)}
            again = table[source.codes]
        else:
            again = self.fold_thresholds(found, chain, source)
        if not np.array_equal(again, found.codes):
            raise SystemExit(f"{found.key}: {(again != found.codes).sum()} integers are not those of qonnx")

    def fold_thresholds(self, found: Integers, chain: list[onnx.NodeProto], source: Integers) -> np.ndarray:
        """Find thresholds by trying every accumulator in 64-bit floats; return the activations that they give."""
        bound = int(source.described["bound"])
        numbers = np.arange(-bound, bound + 1)
        scale = np.broadcast_to(source.scale.astype(np.float64), (source.codes.shape[1],))
        levels = self.levels(found, chain, numbers[None] * scale[:, None])
        count = 2 ** int(found.described["bits"]) - 1
        sign = np.where(levels[:, -1] >= levels[:, 0], 1, -1)
        # From the side where the level is 0, the place of k is the first accumulator of level k.
        rising = np.array([np.searchsorted(row[::s], np.arange(1, count + 1)) for row, s in zip(levels, sign, strict=True)])
        thresholds = sign[:, None] * (rising - bound)
        found.arrays = {"thresholds": thresholds.astype(np.int32), "sign": sign.astype(np.int8)}
        by_channel = (1, -1) + (1,) * (source.codes.ndim - 2)
        signed = source.codes * sign.reshape(by_channel)
        return sum((signed >= (sign * column).reshape(by_channel)).astype(np.int64) for column in thresholds.T)

    def levels(self, found: Integers, chain: list[onnx.NodeProto], values: np.ndarray) -> np.ndarray:
        """Return the integers that a quantizer gives for real values `[channels, ...]` in front of the chain."""
        for node in reversed(chain):
            if node.op_type == "BatchNormalization":
                gamma, beta, mean, var = (self.constants[name].astype(np.float64)[:, None] for name in node.input[1:])
                values = (values - mean) / np.sqrt(var + attributes(node)["epsilon"]) * gamma + beta
            else:
                values = np.maximum(values, 0)
        greatest = 2 ** int(found.described["bits"]) - 1
        return np.round(np.clip(values / np.float64(found.scale[0]), 0, greatest)).astype(np.int64)

    def product(self, key: str, node: onnx.NodeProto) -> Integers:
        """Return the accumulators of a convolution or a matrix product, computed again from integers."""
        data, weights = self.found[node.input[0]], self.found[node.input[1]]
        scale = data.scale * weights.scale
        values, factors = torch.from_numpy(data.codes).double(), torch.from_numpy(weights.codes).double()
        options, described = attributes(node), {}
        if node.op_type == "Conv":
            described = {"stride": options["strides"][0], "pad": options["pads"][0]}
            sums = F.conv2d(values, factors, stride=described["stride"], padding=described["pad"])
        else:
            described = {"outputs_first": bool(options.get("transB"))}
            factors = factors if described["outputs_first"] else factors.T
            sums = F.linear(values.flatten(1), factors)
        inputs = [data, weights]
        bound = factors.abs().flatten(1).sum(1).max() * data.limit
        if len(node.input) > 2:
            bias = self.found[node.input[2]]
            if not np.allclose(bias.scale, scale, rtol=1e-6, atol=0):
                raise SystemExit(f"{key}: the bias has another scale than the products")
            sums = sums + torch.from_numpy(bias.codes).double()
            inputs.append(bias)
        codes = steps(self.values[node.output[0]], scale, axis=1)
        if not np.array_equal(codes, sums.numpy()):
            raise SystemExit(f"{key}: accumulators are not those of qonnx")
        described["bound"] = int(bound)
        return Integers(key, node, "accumulator", codes, scale, 0, [i.key for i in inputs], described)

    def combined(self, key: str, node: onnx.NodeProto) -> Integers:
        """Return the integers of a max-pool or of an addition of equal scales."""
        inputs = [self.found[name] for name in node.input]
        scale, described = inputs[0].scale, {}
        if any(not np.array_equal(i.scale, scale) for i in inputs):
            raise SystemExit(f"{key}: inputs of different scales")
        if node.op_type == "MaxPool":
            described = {"kernel": attributes(node)["kernel_shape"][0]}
        codes = steps(self.values[node.output[0]], scale, axis=1)
        limit = sum(i.limit for i in inputs)
        return Integers(key, node, node.op_type.lower(), codes, scale, limit, [i.key for i in inputs], described)


def smallest(array: np.ndarray) -> np.ndarray:
    """Return integers in the smallest signed type that holds them."""
    return array.astype(next(t for t in (np.int8, np.int16, np.int32) if np.abs(array).max() <= np.iinfo(t).max))


def describe(found: Integers) -> dict[str, object]:
    """Return what `meta.json` says of a tensor."""
    return {
        "key": found.key,
        "op": found.node.op_type,
        "tensor": found.node.output[0],
        "shape": list(found.codes.shape),
        "kind": found.kind,
        "inputs": found.inputs,
        "scale": found.scale.astype(np.float64).tolist(),
        **found.described,
    }


def load(path: Path) -> tuple[torch.nn.Module, dict[str, float]]:
    """Return the trained network and its accuracies."""
    if not path.exists():
        raise SystemExit(f"{path} does not exist; run train.py first")
    trained = torch.load(path, weights_only=True)
    network = Residual(quantized=True)
    network.load_state_dict(trained["weights"])
    return network.eval(), trained["accuracy"]


def check_logits(models: dict[str, onnx.ModelProto], images: np.ndarray, logits: np.ndarray) -> None:
    """Compare the logits of every file."""
    found = {
        name: run_qonnx(models[name], images)[models[name].graph.output[0].name] for name in ("model.onnx", "model_ts.onnx")
    }
    found["model_qcdq.onnx"] = run_onnxruntime(models["model_qcdq.onnx"], images)
    for name, other in found.items():
        error = float(np.abs(other - logits).max())
        if error > LOGITS_ERROR_MAX:
            raise SystemExit(f"{name}: logits differ by {error} from those of model_clean.onnx")


def main() -> None:
    """Export, check and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=BUILD, help="folder that train.py wrote")
    parser.add_argument("--out", type=Path, default=MODELS, help="folder for the model")
    args = parser.parse_args()
    torch.set_num_threads(1)
    network, accuracy = load(args.weights / f"{NAME}.pt")
    _, test_pixels, _, test_labels = load_images()
    pixels, labels = test_pixels[:STORED_IMAGES], test_labels[:STORED_IMAGES]
    images = real(pixels).numpy()

    models = exported(network)
    clean = models["model_clean.onnx"]
    values = run_qonnx(clean, images)
    logits = values[clean.graph.output[0].name]
    check_logits(models, images, logits)
    found = list({i.key: i for i in Tracer(clean, values).found.values()}.values())

    test = {"pixels": pixels, "x": images, "labels": labels, "logits_f32": logits}
    test |= {i.key: smallest(i.codes) for i in found if i.kind != "weight/bias"}
    weights = {f"{i.key}.{name}": array for i in found for name, array in i.arrays.items()}
    meta = {
        "name": NAME,
        "input": "x float32 = pixel/16",
        "output_key": found[-1].key,
        "logit_scale": found[-1].scale.astype(np.float64).tolist(),
        "accuracy": {
            "float_test400": round(accuracy["float"], 6),
            "quant_torch_test400": round(accuracy["quantized"], 6),
            "qonnx_first200": round(float((logits.argmax(1) == labels).mean()), 6),
        },
        "tensors": [describe(i) for i in found],
    }
    folder = args.out / NAME
    folder.mkdir(parents=True, exist_ok=True)
    for name, model in models.items():
        (folder / name).write_bytes(model.SerializeToString(deterministic=True))
    np.savez_compressed(folder / "test.npz", **test)
    np.savez_compressed(folder / "weights_int.npz", **weights)
    (folder / "meta.json").write_text(json.dumps(meta, indent=1) + "\n")
    (folder / "README.md").write_text(readme(meta, test))
    size = sum(path.stat().st_size for path in folder.iterdir())
    print(f"{NAME}: {sum(i.codes.size for i in found):,} integers, all checked; {size:,} bytes")


if __name__ == "__main__":
    main()
