"""QONNX's own executor as a second opinion on imports: the tensors behind every layer, on real images.

    make second-opinion-qonnx

For each QONNX file of `testbenches/cases` and `examples/models`, `qonnx` (PyPI, by the authors of the format) executes the
graph node by node in 32-bit floats, and the command gives the integers of every layer. A layer's codes must be the tensor of
the last node that was folded into it, up to one factor (1 or 2) and offset for all numbers; the last accumulators must be
the outputs. Exit code 1 if one number differs.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.infer_shapes import InferShapes

REPOSITORY = Path(__file__).resolve().parents[2]
FOLDERS = ("testbenches/cases", "examples/models")
# The input of graphs that take integers.
CODES = "x_codes"
# Accumulators are compared with sums of 32-bit floats.
TOLERANCE = 2e-4


class DifferenceError(Exception):
    """A number that is not the one that QONNX computes."""


def images_of(path: Path, model: ModelWrapper, count: int) -> tuple[np.ndarray, list[str]]:
    """Return the first stored images in the shape that the graph takes, and the flags that say what they are."""
    stored = dict(np.load(path.parent / "test.npz"))
    meta = json.loads((path.parent / "meta.json").read_text())
    bits = meta["input"]["bits"] if CODES in stored else 0
    name, flags = model.graph.input[0].name, []
    if name == CODES:
        images, flags = stored[CODES], [f"--input-precision=bipolar:{bits}"]
    elif CODES in stored and "x_real" not in stored:
        images = stored[CODES].astype(np.float32) / np.float32(2**bits - 1)
    else:
        images = stored["x_real" if "x_real" in stored else "x"]
    shape = model.get_tensor_shape(name)
    return images[:count].reshape(-1, *shape[1:]), flags


def context_of(model: ModelWrapper, images: np.ndarray) -> dict[str, np.ndarray]:
    """Return every tensor of the graph for every image; graphs may fix the batch to one."""
    name = model.graph.input[0].name
    model.set_tensor_shape(name, [1, *images.shape[1:]])
    # FINN's annotations have no odd integers, and the executor would round to them.
    model.set_tensor_datatype(name, DataType["FLOAT32"])
    model = model.transform(InferShapes())
    images = images.astype(np.float32)
    contexts = [execute_onnx(model, {name: image[None]}, return_full_exec_context=True) for image in images]
    tensors = {output for node in model.graph.node for output in node.output}
    return {tensor: np.concatenate([context[tensor] for context in contexts]) for tensor in tensors}


def report_of(program: Path, path: Path, images: np.ndarray, flags: list[str], folder: Path) -> dict[str, Any]:
    """Return the command's report of the same images."""
    np.save(folder / "x.npy", images)
    arguments = ["simulate", "--config=default", "--model", path, "--input=x.npy", "--dump", "--json=report.json", *flags]
    done = subprocess.run([program, *arguments], cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DifferenceError(f"exit code {done.returncode}: {done.stderr.strip()}")
    return json.loads((folder / "report.json").read_text())


def compare_codes(name: str, codes: np.ndarray, real: np.ndarray) -> int:
    """Check that numbers are a line over the tensor's; per channel where its scale is."""
    real = real.reshape(len(real), -1)
    codes = codes.reshape(real.shape)
    low, high = np.unravel_index(real.argmin(), real.shape), np.unravel_index(real.argmax(), real.shape)
    if real[low] == real[high]:
        raise DifferenceError(f"{name}: QONNX gives one number everywhere")
    slope = (float(codes[high]) - float(codes[low])) / (float(real[high]) - float(real[low]))
    expected = codes[low] + (real.astype(np.float64) - real[low]) * slope
    wrong = np.abs(expected - codes) > 1e-3
    if wrong.any() or slope <= 0:
        raise DifferenceError(f"{name}: {wrong.sum()} of {codes.size} numbers differ")
    return codes.size


def compare_outputs(name: str, accumulators: np.ndarray, real: np.ndarray) -> int:
    """Check that outputs are a line over the accumulators of each class."""
    accumulators, real = (
        accumulators.reshape(len(real), -1).astype(np.float64),
        real.reshape(len(real), -1).astype(np.float64),
    )
    for sums, outputs in zip(accumulators.T, real.T, strict=True):
        slope, offset = np.polyfit(sums, outputs, 1) if np.ptp(sums) else (0.0, outputs[0])
        if np.abs(slope * sums + offset - outputs).max() > TOLERANCE * max(np.abs(outputs).max(), 1):
            raise DifferenceError(f"{name}: the outputs do not follow from the accumulators")
    return accumulators.size


def check(program: Path, path: Path, count: int, folder: Path) -> int:
    """Check one file; return how many numbers were compared."""
    model = ModelWrapper(str(path))
    images, flags = images_of(path, model, count)
    tensors = context_of(model, images)
    report = report_of(program, path, images, flags, folder)
    # Nodes without a name have one by operator and place.
    outputs = {node.name or f"{node.op_type}_{place}": node.output[0] for place, node in enumerate(model.graph.node)}
    last = {fold["layer"]: fold["nodes"][-1] for fold in report["import"]["folds"]}
    compared = 0
    for layer in report["layers"]:
        node = last.get(layer["name"], layer["name"])
        if node not in outputs:
            raise DifferenceError(f"{layer['name']}: the graph has no node {node}")
        if "codes" in layer:
            compared += compare_codes(layer["name"], np.array(layer["codes"]), tensors[outputs[node]])
        else:
            name = model.graph.output[0].name
            compared += compare_outputs(layer["name"], np.array(layer["accumulators"]), tensors[name])
    return compared


def main() -> int:
    """Check every QONNX file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=Path, help="the command to check")
    parser.add_argument("--images", type=int, default=20, help="of each file (20)")
    arguments = parser.parse_args()
    files = sorted(path for folder in FOLDERS for path in (REPOSITORY / folder).glob("*/*.onnx"))
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        for path in files:
            name = path.relative_to(REPOSITORY)
            try:
                count = check(arguments.program.resolve(), path, arguments.images, Path(folder))
                print(f"{name}: {count:,} numbers are equal")
            except DifferenceError as error:
                failures += 1
                print(f"{name}: {error}", file=sys.stderr)
    return 1 if failures or not files else 0


if __name__ == "__main__":
    raise SystemExit(main())
