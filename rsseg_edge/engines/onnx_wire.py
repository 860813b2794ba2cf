"""The wire format of protocol buffers, as far as an ONNX file needs it on a machine without the package ``onnx``.

https://protobuf.dev/programming-guides/encoding; field numbers are those of ``onnx.proto`` (ONNX 1.16).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

MODEL_GRAPH, MODEL_FUNCTIONS = 7, 25
GRAPH_NODE, GRAPH_INITIALIZER, GRAPH_INPUT, GRAPH_OUTPUT, GRAPH_VALUES = 1, 5, 11, 12, 13
NODE_INPUT, NODE_OUTPUT, NODE_NAME, NODE_TYPE, NODE_ATTRIBUTE, NODE_DOMAIN = 1, 2, 3, 4, 5, 7
ATTRIBUTE_NAME, ATTRIBUTE_INT, ATTRIBUTE_TEXT, ATTRIBUTE_TENSOR, ATTRIBUTE_GRAPH, ATTRIBUTE_INTS = 1, 3, 4, 5, 6, 8
ATTRIBUTE_TYPE = 20
FUNCTION_NAME, FUNCTION_INPUT, FUNCTION_OUTPUT, FUNCTION_NODE, FUNCTION_OPSETS, FUNCTION_DOMAIN = 1, 4, 5, 7, 9, 10
TENSOR_DIMS, TENSOR_TYPE, TENSOR_INT32S, TENSOR_NAME, TENSOR_RAW, TENSOR_LOCATION = 1, 2, 5, 8, 9, 14
VALUE_NAME, VALUE_TYPE = 1, 2
FLOAT, UINT8, INT32 = 1, 2, 6

Change = Callable[[int, memoryview], "bytes | Sequence[bytes] | None"]


def fields(message: memoryview) -> Iterator[tuple[int, memoryview | int, memoryview]]:
    """The fields of a message in order: number, value (a view of the content, or an integer), and all of the field.

    Raises:
        ValueError: it is no such message.
        IndexError: it ends within a field.
    """
    at = 0
    while at < len(message):
        begin = at
        key, at = _varint(message, at)
        value: memoryview | int
        if key & 7 == 0:
            value, at = _varint(message, at)
        elif key & 7 == 2:
            size, at = _varint(message, at)
            value, at = message[at : at + size], at + size
        elif key & 7 in (1, 5):
            size = 8 if key & 7 == 1 else 4
            value, at = int.from_bytes(message[at : at + size], "little"), at + size
        else:
            raise ValueError(f"wire type {key & 7}")
        if at > len(message):
            raise ValueError("cut short")
        yield key >> 3, value, message[begin:at]


def children(message: memoryview, wanted: int) -> Iterator[memoryview]:
    """Contents of a message's fields of one number."""
    for number, value, _ in fields(message):
        if number == wanted and isinstance(value, memoryview):
            yield value


def child(message: memoryview, wanted: int) -> memoryview:
    """Content of the first such field; empty where there is none."""
    return next(children(message, wanted), memoryview(b""))


def text(message: memoryview, wanted: int) -> str:
    """The first such field as text."""
    return bytes(child(message, wanted)).decode()


def integers(message: memoryview, wanted: int) -> list[int]:
    """Values of an integer field, repeated or packed."""
    found: list[int] = []
    for number, value, _ in fields(message):
        if number != wanted:
            continue
        if isinstance(value, int):
            found.append(value)
            continue
        at = 0
        while at < len(value):
            packed, at = _varint(value, at)
            found.append(packed)
    return found


def rewrite(message: memoryview, change: Change) -> bytes:
    """A message with some of its length-delimited fields changed.

    Args:
        message: any.
        change: gives the new content for a field's number and content, several contents in a list (none drops the
            field), or None to leave it.
    """
    parts: list[bytes | memoryview] = []
    for number, value, whole in fields(message):
        new = change(number, value) if isinstance(value, memoryview) else None
        if new is None:
            parts.append(whole)
        else:
            parts += [bytes_field(number, content) for content in ([new] if isinstance(new, bytes) else new)]
    return b"".join(parts)


def int_field(number: int, value: int) -> bytes:
    """A field with an integer, negative ones as 64 bits."""
    return _encoded(number << 3) + _encoded(value & (1 << 64) - 1)


def bytes_field(number: int, content: bytes | memoryview) -> bytes:
    """A field with a message, text or bytes."""
    return bytes_head(number, len(content)) + content


def bytes_head(number: int, size: int) -> bytes:
    """What stands before the content of such a field."""
    return _encoded(number << 3 | 2) + _encoded(size)


def int_attribute(name: str, value: int) -> bytes:
    """Content of a node's attribute: one integer."""
    return bytes_field(ATTRIBUTE_NAME, name.encode()) + int_field(ATTRIBUTE_INT, value) + int_field(ATTRIBUTE_TYPE, 2)


def text_attribute(name: str, value: str) -> bytes:
    """Content of a node's attribute: a string."""
    named = bytes_field(ATTRIBUTE_NAME, name.encode())
    return named + bytes_field(ATTRIBUTE_TEXT, value.encode()) + int_field(ATTRIBUTE_TYPE, 3)


def ints_attribute(name: str, values: Sequence[int]) -> bytes:
    """Content of a node's attribute: integers."""
    named = bytes_field(ATTRIBUTE_NAME, name.encode())
    return named + b"".join(int_field(ATTRIBUTE_INTS, v) for v in values) + int_field(ATTRIBUTE_TYPE, 7)


def node(kind: str, inputs: Sequence[str], output: str, *attributes: bytes) -> bytes:
    """Content of a node with one output, which is its name, too."""
    named = b"".join(bytes_field(NODE_INPUT, i.encode()) for i in inputs) + bytes_field(NODE_OUTPUT, output.encode())
    named += bytes_field(NODE_NAME, f"{kind}_{output}".encode()) + bytes_field(NODE_TYPE, kind.encode())
    return named + b"".join(bytes_field(NODE_ATTRIBUTE, a) for a in attributes)


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 127) << shift
        at += 1
        if byte < 128:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("an integer of more than 64 bits")


def _encoded(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)
