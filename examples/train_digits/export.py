"""Writes trained networks as files that XnorForge reads, with test data, and checks each file with other tools.

    python examples/train_digits/export.py                 # all networks that train.py wrote, to examples/models
    python examples/train_digits/export.py digits_mlp --out build/models

Each folder gets `model_quant.onnx`, `model_threshold.onnx`, `model.npz` with `meta.json`, `test.npz` and a README.md. The
integers in `test.npz` come from 64-bit arithmetic (`integers.py`); qonnx's executor must give the same ones for both ONNX
files, every layer and every image, or nothing is written.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

import digits
import numpy as np
import onnx
import torch
from integers import IntegerNetwork, execute, from_trained, input_codes, reduced
from network import NETWORKS, DigitsNetwork, NetworkSpec
from onnx_forms import quant_form, threshold_form
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from quantizer import BITS_MAX, greatest
from readme import readme
from train import BUILD

MODELS = Path(__file__).resolve().parents[1] / "models"
"""Where the models go."""

LOGITS_ERROR_MAX = 1e-3
"""How far logits in 32-bit floats may be from the integers that they stand for, in steps of the integers."""


@dataclass(frozen=True)
class Exported:
    """Everything that is written of one network."""

    network: IntegerNetwork
    quant: onnx.ModelProto
    threshold: onnx.ModelProto
    arrays: dict[str, np.ndarray]
    test: dict[str, np.ndarray]
    meta: dict[str, object]


def load(spec: NetworkSpec, folder: Path) -> tuple[DigitsNetwork, dict[str, float]]:
    """Return a trained network and its accuracies."""
    path = folder / f"{spec.name}.pt"
    if not path.exists():
        raise SystemExit(f"{path} does not exist; run train.py {spec.name} first")
    trained = torch.load(path, weights_only=True)
    network = DigitsNetwork(spec)
    network.load_state_dict(trained["weights"])
    return network.eval(), trained["accuracy"]


def smallest(array: np.ndarray) -> np.ndarray:
    """Return integers in the smallest signed type that holds them."""
    bound = max(abs(int(array.min())), abs(int(array.max())))
    return array.astype(next(t for t in (np.int8, np.int16, np.int32) if bound <= np.iinfo(t).max))


def model_arrays(network: IntegerNetwork) -> dict[str, np.ndarray]:
    """Return the arrays of `model.npz`."""
    arrays: dict[str, np.ndarray] = {}
    for number, layer in enumerate(network.layers, start=1):
        arrays[f"l{number}.weight_codes"] = layer.codes.astype(np.int8)
        if layer.spec.scaling != "tanh":
            arrays[f"l{number}.weight_scale"] = layer.weight_scale
        if layer.norm is None or layer.thresholds is None or layer.sign is None:
            continue
        arrays[f"l{number}.thresholds"] = layer.thresholds.astype(np.int32)
        arrays[f"l{number}.sign"] = layer.sign.astype(np.int8)
        for key in ("gamma", "beta", "mean", "var"):
            arrays[f"l{number}.bn.{key}"] = getattr(layer.norm, key)
    return arrays


def test_arrays(network: IntegerNetwork, data: digits.Digits) -> dict[str, np.ndarray]:
    """Return the arrays of `test.npz`."""
    spec = network.spec
    pixels = data.test_pixels[: digits.STORED_IMAGES]
    codes = input_codes(pixels, spec)
    arrays = {
        "pixels": pixels,
        "x_real": digits.real(pixels).reshape(-1, *spec.input_shape),
        "x_codes": codes.astype(np.int8),
        "labels": data.test_labels[: digits.STORED_IMAGES],
    }
    arrays |= {name: smallest(array) for name, array in execute(network, codes).items()}
    last = f"l{len(network.layers)}_acc"
    for keep in spec.hot_swap:
        arrays[f"{last}_at_{keep}_bits"] = smallest(execute(reduced(network, keep), codes)[last])
    return arrays


def accuracies(network: IntegerNetwork, trained: dict[str, float], data: digits.Digits) -> dict[str, float]:
    """Return accuracies of the floats and of the integers; of equal logits the first one counts."""
    codes = input_codes(data.test_pixels, network.spec)
    found = {"float_test400": trained["float"]}
    for keep in (BITS_MAX, *network.spec.hot_swap):
        suffix = "" if keep == BITS_MAX else f"_at_{keep}_bits"
        integers = reduced(network, keep)
        logits = execute(integers, codes)[f"l{len(network.layers)}_acc"]
        right = logits.argmax(1) == data.test_labels
        found[f"int_test400{suffix}"] = right.mean()
        found[f"int_first200{suffix}"] = right[: digits.STORED_IMAGES].mean()
    return {name: round(float(value), 6) for name, value in found.items()}


def describe(network: IntegerNetwork, accuracy: dict[str, float]) -> dict[str, object]:
    """Return what `meta.json` says."""
    spec = network.spec
    is_odd = all(layer.spec.encoding == "bipolar" for layer in network.layers)
    return {
        "name": spec.name,
        "encoding": "odd integer, {-1,+1} decomposition" if is_odd else "ternary weights, odd integer activations",
        "input": {
            "shape": list(spec.input_shape),
            "bits": spec.input_bits,
            "code": "2*round(pixel*(2^M-1)/16)-(2^M-1), round half even",
            "real": "code/(2^M-1)",
        },
        "layers": [describe_layer(network, index) for index in range(len(network.layers))],
        **({"hot_swap": [spec.input_bits, *spec.hot_swap]} if spec.hot_swap else {}),
        "accuracy": accuracy,
    }


def describe_layer(network: IntegerNetwork, index: int) -> dict[str, object]:
    """Return what `meta.json` says of a layer."""
    layer = network.layers[index]
    spec = layer.spec
    scale = layer.acc_scale.tolist()
    following = network.layers[index + 1].spec if index + 1 < len(network.layers) else spec
    described: dict[str, object] = {
        "kind": "conv" if spec.is_convolution else "linear",
        "weight_bits": spec.weight_bits,
        "act_in_bits": layer.activation_bits,
        "weight_shape": list(layer.codes.shape),
        "acc_scale": scale[0] if len(scale) == 1 else scale,
        "acc_bound": layer.acc_bound,
    }
    if spec.encoding == "ternary":
        described["weight_encoding"] = "ternary"
    if spec.is_convolution:
        described |= {"stride": spec.stride, "pad": spec.pad, "pad_code": layer.pad_code}
        described["pad_is_true_zero"] = spec.pad_is_true_zero
    if layer.norm is None:
        described["output"] = "integer logits"
    else:
        described |= {"out_bits": spec.out_bits, "bn_eps": layer.norm.epsilon}
    described["maxpool_after"] = spec.pool
    described["flatten_after"] = spec.is_convolution and not following.is_convolution
    return described


def run_qonnx(model: onnx.ModelProto, inputs: np.ndarray) -> dict[str, np.ndarray]:
    """Return what qonnx's executor gives for each node on the path of the input, for inputs one by one."""
    wrapper = ModelWrapper(model, make_deepcopy=True)
    name = model.graph.input[0].name
    found: dict[str, list[np.ndarray]] = {}
    for row in inputs:
        context = execute_onnx(wrapper, {name: row[None].astype(np.float32)}, return_full_exec_context=True)
        for node in model.graph.node:
            if not node.output[0].endswith("_weight_quant"):
                found.setdefault(node.output[0], []).append(context[node.output[0]])
    return {key: np.concatenate(rows) for key, rows in found.items()}


def expect(what: str, found: np.ndarray, expected: np.ndarray) -> None:
    """Stop if arrays differ."""
    if not np.array_equal(found, expected):
        different = int((np.asarray(found) != expected).sum())
        raise SystemExit(f"{what}: {different} of {expected.size} integers differ")


def check_threshold_form(exported: Exported) -> int:
    """Compare every integer with qonnx's execution of the MultiThreshold form; return how many there were."""
    found = run_qonnx(exported.threshold, exported.test["x_codes"])
    count = 0
    for number, layer in enumerate(exported.network.layers, start=1):
        for kind in ("acc", "act", "pool"):
            name = f"l{number}_{kind}"
            if name not in exported.test:
                continue
            expected = exported.test[name].astype(np.int64)
            if kind == "acc" and layer.sign is not None:
                expected = expected * by_output(layer.sign, expected)
            expect(f"{name} of the MultiThreshold form", found[name], expected)
            count += expected.size
    return count


def check_quant_form(exported: Exported) -> int:
    """Compare every integer with qonnx's execution of the Quant form in 32-bit floats; return how many there were."""
    spec = exported.network.spec
    found = run_qonnx(exported.quant, exported.test["x_real"])
    expect("x_quant", codes_of(found["x_quant"], spec.input_bits), exported.test["x_codes"])
    count = exported.test["x_codes"].size
    for number, layer in enumerate(exported.network.layers, start=1):
        name = f"l{number}_acc"
        expected = exported.test[name].astype(np.int64)
        steps = found[name] / by_output(layer.acc_scale, expected)
        expect(f"{name} of the Quant form", np.round(steps), expected)
        error = float(np.abs(steps - expected).max())
        if error > LOGITS_ERROR_MAX * max(1, layer.acc_bound / 1000):
            raise SystemExit(f"{name} of the Quant form: {error} steps from the integers")
        count += expected.size
        for kind in ("act", "pool"):
            name = f"l{number}_{kind}"
            if name in exported.test:
                expected = exported.test[name].astype(np.int64)
                expect(f"{name} of the Quant form", codes_of(found[name], layer.spec.out_bits), expected)
                count += expected.size
    return count


def check_weights(exported: Exported) -> None:
    """Compare the codes of the weights with what qonnx makes of the floats in the Quant form."""
    wrapper = ModelWrapper(exported.quant, make_deepcopy=True)
    name = exported.quant.graph.input[0].name
    inputs = {name: exported.test["x_real"][:1]}
    context = execute_onnx(wrapper, inputs, return_full_exec_context=True)
    for number, layer in enumerate(exported.network.layers, start=1):
        found = context[f"l{number}_weight_quant"]
        found = found if layer.spec.is_convolution else found.T
        codes = found * layer.divisor / by_output(layer.weight_scale, found, axis=0)
        expect(f"weights of l{number} in the Quant form", np.round(codes), layer.codes)


def check_trained(network: DigitsNetwork, exported: Exported) -> None:
    """Compare the integers with the logits of the module that was trained, at every precision."""
    values = torch.from_numpy(exported.test["x_real"])
    last = exported.network.layers[-1]
    for keep in (BITS_MAX, *exported.network.spec.hot_swap):
        suffix = "" if keep == BITS_MAX else f"_at_{keep}_bits"
        expected = exported.test[f"l{len(exported.network.layers)}_acc{suffix}"].astype(np.int64)
        left_out = sum(max(bits - keep, 0) for bits in (last.activation_bits, last.spec.weight_bits))
        with torch.no_grad():
            logits = network(values, keep=keep) / network.log_temperature.exp()
        steps = logits.numpy() / (last.acc_scale * 2.0**left_out)
        expect(f"logits of the trained module{suffix}", np.round(steps), expected)


def by_output(per_output: np.ndarray, tensor: np.ndarray, axis: int = 1) -> np.ndarray:
    """Return numbers per output in dimensions that broadcast against a tensor whose outputs lie along `axis`."""
    return per_output.reshape((1,) * axis + (-1,) + (1,) * (tensor.ndim - axis - 1))


def codes_of(values: np.ndarray, bits: int) -> np.ndarray:
    """Return the codes that real values stand for."""
    n = greatest(bits)
    codes = 2 * np.round((values.astype(np.float64) * n + n) / 2) - n
    if np.abs(codes - values * n).max() > LOGITS_ERROR_MAX:
        raise SystemExit("a quantized activation is no code")
    return codes.astype(np.int64)


def write(exported: Exported, folder: Path) -> None:
    """Write the files of a network; nothing in them depends on the time or the machine."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "model_quant.onnx").write_bytes(exported.quant.SerializeToString(deterministic=True))
    (folder / "model_threshold.onnx").write_bytes(exported.threshold.SerializeToString(deterministic=True))
    np.savez_compressed(folder / "model.npz", **exported.arrays)
    np.savez_compressed(folder / "test.npz", **exported.test)
    (folder / "meta.json").write_text(json.dumps(exported.meta, indent=1) + "\n")
    (folder / "README.md").write_text(readme(exported.network, exported.meta, exported.arrays, exported.test))


def export(spec: NetworkSpec, weights: Path, out: Path) -> None:
    """Export, check and write a network."""
    trained, accuracy = load(spec, weights)
    network, data = from_trained(trained), digits.load()
    exported = Exported(
        network=network,
        quant=quant_form(network),
        threshold=threshold_form(network),
        arrays=model_arrays(network),
        test=test_arrays(network, data),
        meta=describe(network, accuracies(network, accuracy, data)),
    )
    check_trained(trained, exported)
    check_weights(exported)
    count = check_threshold_form(exported) + check_quant_form(exported)
    write(exported, out / spec.name)
    size = sum(path.stat().st_size for path in (out / spec.name).iterdir())
    print(f"{spec.name}: {count:,} integers are those of qonnx; {size:,} bytes", flush=True)


def main() -> None:
    """Export the networks that were named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help=f"of {', '.join(NETWORKS)}; all without it")
    parser.add_argument("--weights", type=Path, default=BUILD, help="folder that train.py wrote")
    parser.add_argument("--out", type=Path, default=MODELS, help="folder for the models")
    args = parser.parse_args()
    if unknown := set(args.networks) - set(NETWORKS):
        parser.error(f"no network is called {', '.join(sorted(unknown))}; choose of {', '.join(NETWORKS)}")
    torch.set_num_threads(1)
    for name in args.networks or NETWORKS:
        export(NETWORKS[name], args.weights, args.out)


if __name__ == "__main__":
    main()
