"""Writes ONNX files byte by byte, so that what is compared shares no code with any reader or writer of them."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np

QONNX = "qonnx.custom_op.general"
Attribute = int | float | str | Sequence[int]


def _varint(value: int) -> bytes:
    value &= 2**64 - 1
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes | str) -> bytes:
    value = value.encode() if isinstance(value, str) else value
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _attribute(name: str, value: Attribute) -> bytes:
    out = _bytes(1, name)
    if isinstance(value, int):
        return out + _number(3, value) + _number(20, 2)
    if isinstance(value, float):
        return out + _varint(2 << 3 | 5) + struct.pack("<f", value) + _number(20, 1)
    if isinstance(value, str):
        return out + _bytes(4, value) + _number(20, 3)
    return out + b"".join(_number(8, each) for each in value) + _number(20, 7)


class Graph:
    """A graph that grows node by node."""

    def __init__(self, name: str, input_name: str, input_shape: Sequence[int]) -> None:
        """Begin with one input of floats."""
        self._name = name
        self._nodes: list[bytes] = []
        self._constants: list[bytes] = []
        self._input = self._value(input_name, input_shape)

    @staticmethod
    def _value(name: str, shape: Sequence[int]) -> bytes:
        dimensions = b"".join(_bytes(1, _number(1, size)) for size in shape)
        tensor = _number(1, 1) + _bytes(2, dimensions)
        return _bytes(1, name) + _bytes(2, _bytes(1, tensor))

    def constant(self, name: str, values: np.ndarray) -> str:
        """Add a constant, floats or 64-bit integers."""
        is_float = values.dtype.kind == "f"
        raw = values.astype("<f4" if is_float else "<i8")
        if is_float and not np.array_equal(raw.astype(np.float64), values):
            raise ValueError(f"{name} does not fit 32-bit floats")
        dims = b"".join(_number(1, size) for size in values.shape)
        tensor = dims + _number(2, 1 if is_float else 7) + _bytes(8, name) + _bytes(9, raw.tobytes())
        self._constants.append(tensor)
        return name

    def node(
        self, operator: str, inputs: Sequence[str], output: str, name: str, domain: str = "", **attributes: Attribute
    ) -> str:
        """Add a node with one output; return the output's name."""
        out = b"".join(_bytes(1, each) for each in inputs) + _bytes(2, output) + _bytes(3, name) + _bytes(4, operator)
        out += b"".join(_bytes(5, _attribute(key, value)) for key, value in attributes.items())
        self._nodes.append(out + (_bytes(7, domain) if domain else b""))
        return output

    def file(self, output_name: str, output_shape: Sequence[int]) -> bytes:
        """Return the model's bytes."""
        graph = b"".join(_bytes(1, node) for node in self._nodes) + _bytes(2, self._name)
        graph += b"".join(_bytes(5, constant) for constant in self._constants)
        graph += _bytes(11, self._input) + _bytes(12, self._value(output_name, output_shape))
        versions = _bytes(8, _number(2, 13)) + _bytes(8, _bytes(1, QONNX) + _number(2, 1))
        return _number(1, 8) + _bytes(7, graph) + versions
