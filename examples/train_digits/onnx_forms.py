"""Two ways to write a network as QONNX.

`quant_form` is what training tools write: weights and activations pass through `Quant` nodes, batch norms stay. A number of
M bits is an unsigned integer q with scale 2 / n and the half-integer zero point n / 2, so it stands for (2 q - n) / n.

`threshold_form` is what FINN works with: weights are integers held in floats, `MultiThreshold` gives integer codes, and
tensors are annotated with their data types.

Tensors are named as the arrays of `test.npz`. The batch is 1, as qonnx's executor wants shapes to be known.
"""

from __future__ import annotations

import numpy as np
import onnx
from integers import IntegerLayer, IntegerNetwork
from network import LayerSpec, output_shape
from onnx import TensorProto, helper, numpy_helper
from quantizer import greatest

Attribute = int | float | str | list[int]

DOMAIN = "qonnx.custom_op.general"
OPSET = 17
IR_VERSION = 9
"""Versions that every onnxruntime since 2023 reads."""


class GraphBuilder:
    """Collects nodes, constants, shapes and data types of a graph with one path through it."""

    def __init__(self, name: str, input_name: str, shape: tuple[int, ...]) -> None:
        self.name = name
        self.tensor = input_name
        self.shape = (1, *shape)
        self.input = helper.make_tensor_value_info(input_name, TensorProto.FLOAT, self.shape)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.values: list[onnx.ValueInfoProto] = []
        self.datatypes: list[onnx.TensorAnnotation] = []

    def constant(self, name: str, numbers: np.ndarray | list[int] | float, dtype: type = np.float32) -> str:
        """Add a constant; return its name."""
        self.constants.append(numpy_helper.from_array(np.asarray(numbers, dtype), name))
        return name

    def node(self, operation: str, inputs: list[str], output: str, **attributes: Attribute) -> str:
        """Add a node; QONNX's own operations get their domain. Return its output."""
        own = operation in ("Quant", "BipolarQuant", "MultiThreshold")
        domain = DOMAIN if own else ""
        self.nodes.append(helper.make_node(operation, inputs, [output], f"{operation}_{output}", None, domain, **attributes))
        return output

    def step(self, operation: str, inputs: list[str], output: str, shape: tuple[int, ...], **attributes: Attribute) -> None:
        """Add a node that takes the tensor at hand first, and whose output is the tensor at hand then."""
        self.node(operation, [self.tensor, *inputs], output, **attributes)
        self.tensor, self.shape = output, (1, *shape)
        self.values.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, self.shape))

    def annotate(self, tensor: str, datatype: str) -> None:
        """Say which data type of FINN a tensor has."""
        entry = onnx.StringStringEntryProto(key="finn_datatype", value=datatype)
        self.datatypes.append(onnx.TensorAnnotation(tensor_name=tensor, quant_parameter_tensor_names=[entry]))

    def model(self) -> onnx.ModelProto:
        """Return the finished and checked model; the tensor at hand is its output."""
        output = self.values.pop()
        graph = helper.make_graph(self.nodes, self.name, [self.input], [output], self.constants, value_info=self.values)
        graph.quantization_annotation.extend(self.datatypes)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(DOMAIN, 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="xnorforge-examples")
        onnx.checker.check_model(model)
        return model


def quant_form(network: IntegerNetwork) -> onnx.ModelProto:
    """Return a network with `Quant`, `BipolarQuant` and `BatchNormalization`; its input `x` is pixel / 8 - 1."""
    spec = network.spec
    builder = GraphBuilder(spec.name, "x", spec.input_shape)
    quantize_activations(builder, "x_quant", spec.input_bits)
    for number, layer in enumerate(network.layers, start=1):
        name = f"l{number}"
        weights = quantized_weights(builder, name, layer)
        product(builder, name, layer, weights, 0.0 if layer.spec.pad_is_true_zero else -1.0)
        if layer.norm is not None:
            norm = layer.norm
            arrays = {"gamma": norm.gamma, "beta": norm.beta, "mean": norm.mean, "var": norm.var}
            inputs = [builder.constant(f"{name}_bn_{key}", array) for key, array in arrays.items()]
            builder.step("BatchNormalization", inputs, f"{name}_bn", builder.shape[1:], epsilon=norm.epsilon)
            quantize_activations(builder, f"{name}_act", layer.spec.out_bits)
            max_pool(builder, name, layer.spec)
    return builder.model()


def threshold_form(network: IntegerNetwork) -> onnx.ModelProto:
    """Return a network with integer weights and `MultiThreshold`; its input `x_codes` are codes.

    Thresholds of `MultiThreshold` count upwards only, so outputs with falling codes have negated weights.
    """
    spec = network.spec
    builder = GraphBuilder(spec.name, "x_codes", spec.input_shape)
    builder.annotate("x_codes", datatype_of_codes(spec.input_bits))
    for number, layer in enumerate(network.layers, start=1):
        name = f"l{number}"
        sign = np.ones(layer.spec.outputs, np.int64) if layer.sign is None else layer.sign
        codes = layer.codes * sign.reshape(-1, *(1,) * (layer.codes.ndim - 1))
        weights = builder.constant(f"{name}_weight", codes if layer.spec.is_convolution else codes.T)
        is_ternary = layer.spec.encoding == "ternary"
        builder.annotate(weights, "TERNARY" if is_ternary else datatype_of_codes(layer.spec.weight_bits))
        product(builder, name, layer, weights, float(layer.pad_code))
        builder.annotate(builder.tensor, f"INT{signed_bits(layer.acc_bound)}")
        if layer.thresholds is not None:
            # -acc >= 1 - t is the same as not (acc >= t), and the last threshold becomes the first.
            falling = (1 - layer.thresholds)[:, ::-1]
            thresholds = builder.constant(f"{name}_thr", np.where(sign[:, None] > 0, layer.thresholds, falling))
            builder.annotate(thresholds, f"INT{signed_bits(layer.acc_bound + 1)}")
            n, datatype = greatest(layer.spec.out_bits), datatype_of_codes(layer.spec.out_bits)
            attributes: dict[str, Attribute] = {"out_scale": 2.0, "out_bias": -float(n), "out_dtype": datatype}
            builder.step("MultiThreshold", [thresholds], f"{name}_act", builder.shape[1:], **attributes)
            builder.annotate(builder.tensor, datatype)
            max_pool(builder, name, layer.spec)
    return builder.model()


def quantize_activations(builder: GraphBuilder, output: str, bits: int) -> None:
    """Add the quantizer of `bits`-bit codes."""
    inputs = quantizer_constants(builder, output, 2 / greatest(bits), greatest(bits) / 2, bits)
    builder.step("Quant", inputs, output, builder.shape[1:], signed=0, narrow=0, rounding_mode="ROUND")


def quantized_weights(builder: GraphBuilder, name: str, layer: IntegerLayer) -> str:
    """Add the weights as they were trained and their quantizer; return the quantized tensor."""
    is_convolution = layer.spec.is_convolution
    weights = builder.constant(f"{name}_weight", layer.weights if is_convolution else layer.weights.T)
    scale = scale_beside(weights_rank=layer.weights.ndim, scale=layer.weight_scale)
    output = f"{name}_weight_quant"
    shape = layer.weights.shape if is_convolution else layer.weights.T.shape
    builder.values.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, shape))
    if layer.spec.encoding == "ternary":
        constants = quantizer_constants(builder, output, scale, 0.0, 2)
        return builder.node("Quant", [weights, *constants], output, signed=1, narrow=1, rounding_mode="ROUND")
    if layer.spec.weight_bits == 1:
        return builder.node("BipolarQuant", [weights, builder.constant(f"{output}_scale", scale)], output)
    n = greatest(layer.spec.weight_bits)
    constants = quantizer_constants(builder, output, 2 * scale / n, n / 2, layer.spec.weight_bits)
    return builder.node("Quant", [weights, *constants], output, signed=0, narrow=0, rounding_mode="ROUND")


def scale_beside(weights_rank: int, scale: np.ndarray) -> np.ndarray:
    """Return scales in the shape that broadcasts against weights as the graph holds them."""
    if scale.size == 1:
        return scale.reshape(())
    return scale.reshape(-1, 1, 1, 1) if weights_rank == 4 else scale.reshape(1, -1)


def quantizer_constants(
    builder: GraphBuilder, output: str, scale: np.ndarray | float, zero_point: float, bits: int
) -> list[str]:
    """Add scale, zero point and bits of a `Quant`; return their names."""
    return [
        builder.constant(f"{output}_scale", scale),
        builder.constant(f"{output}_zero_point", zero_point),
        builder.constant(f"{output}_bits", float(bits)),
    ]


def product(builder: GraphBuilder, name: str, layer: IntegerLayer, weights: str, pad_value: float) -> None:
    """Add padding, and the convolution or the matrix product of a layer."""
    spec = layer.spec
    if not spec.is_convolution:
        if len(builder.shape) > 2:
            builder.step("Flatten", [], f"{name}_flat", (int(np.prod(builder.shape)),), axis=1)
        builder.step("MatMul", [weights], f"{name}_acc", (spec.outputs,))
        return
    shape = output_shape(LayerSpec(**(vars(spec) | {"pool": 0})), builder.shape[1:])
    pad = spec.pad
    if not spec.pad_is_true_zero:
        channels, height, width = builder.shape[1:]
        pads = builder.constant(f"{name}_pads", [0, 0, pad, pad] * 2, np.int64)
        value = builder.constant(f"{name}_pad_value", pad_value)
        builder.step("Pad", [pads, value], f"{name}_pad", (channels, height + 2 * pad, width + 2 * pad), mode="constant")
        pad = 0
    attributes = {"kernel_shape": [spec.kernel] * 2, "strides": [spec.stride] * 2, "pads": [pad] * 4}
    builder.step("Conv", [weights], f"{name}_acc", shape, **attributes)


def max_pool(builder: GraphBuilder, name: str, spec: LayerSpec) -> None:
    """Add the max-pool of a layer, if it has one."""
    if not spec.pool:
        return
    channels, height, width = builder.shape[1:]
    shape = (channels, height // spec.pool, width // spec.pool)
    builder.step("MaxPool", [], f"{name}_pool", shape, kernel_shape=[spec.pool] * 2, strides=[spec.pool] * 2)
    if builder.datatypes:
        builder.annotate(builder.tensor, datatype_of_codes(spec.out_bits))


def datatype_of_codes(bits: int) -> str:
    """Return FINN's data type for odd integers of `bits` bits: the least one that holds them."""
    return "BIPOLAR" if bits == 1 else f"INT{signed_bits(greatest(bits))}"


def signed_bits(magnitude: int) -> int:
    """Return how many bits hold -magnitude..=magnitude in two's complement."""
    return magnitude.bit_length() + 1
