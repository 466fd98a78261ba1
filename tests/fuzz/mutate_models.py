"""Changes of a model, field by field: what protobuf can hold, whether it makes sense or not."""

import random
from typing import Any

import onnx
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

STRANGE = (0, 1, -1, 2, 3, 7, 8, 17, 2**15, 2**20, 2**31 - 1, 2**31, -(2**31), 2**62, -(2**63))
FLOATS = (0.0, -1.0, 1e30, -1e30, 1e-42, float("inf"), float("nan"))
OPS = (
    "Conv", "BatchNormalization", "Relu", "Pad", "Add", "Mul", "Concat", "MaxPool", "Gemm",
    "MatMul", "Constant", "Identity", "Reshape", "Shape", "Gather", "Slice", "Clip", "If", "Loop",
    "Scan", "GlobalAveragePool", "AveragePool", "Transpose", "Flatten", "Split", "Tile", "Softmax",
    "ConvTranspose", "Dropout", "Cast", "LRN", "Unsqueeze", "Squeeze", "QuantizeLinear",
    "DequantizeLinear", "Expand", "ReduceMean", "Unknown",
)  # fmt: skip
INTEGERS = {
    FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_INT64,
    FieldDescriptor.CPPTYPE_UINT32, FieldDescriptor.CPPTYPE_UINT64,
}  # fmt: skip
UNSIGNED = {FieldDescriptor.CPPTYPE_UINT32, FieldDescriptor.CPPTYPE_UINT64}
NARROW = {FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_UINT32}
REALS = {FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE}


def mutated(content: bytes, rng: random.Random) -> bytes:
    """A model with one to three changes; what is no model is left alone."""
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except DecodeError:
        return content
    for _ in range(rng.randint(1, 3)):
        messages = [*walk(model)]
        change(rng.choice(messages), [m for m in messages if isinstance(m, onnx.NodeProto)], rng)
    return model.SerializePartialToString()


def walk(message: Message) -> list[Message]:
    """A message and all inside it."""
    found = [message]
    for field, value in message.ListFields():
        if field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
            for inner in value if field.is_repeated else [value]:
                found += walk(inner)
    return found


def change(message: Message, nodes: list[onnx.NodeProto], rng: random.Random) -> None:
    """Change one field, mostly one that is set."""
    present = [field for field, _ in message.ListFields()]
    fields = present if present and rng.randrange(8) else message.DESCRIPTOR.fields
    field = rng.choice(list(fields))
    if field.is_repeated:
        change_repeated(message, field, nodes, rng)
    elif field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE:
        if rng.randrange(2):
            message.ClearField(field.name)
        else:
            getattr(message, field.name).SetInParent()
    else:
        setattr(message, field.name, value_for(field, getattr(message, field.name), nodes, rng))


def change_repeated(
    message: Message, field: FieldDescriptor, nodes: list[onnx.NodeProto], rng: random.Random
) -> None:
    """Drop, double, swap or change an element."""
    values: Any = getattr(message, field.name)
    is_message = field.cpp_type == FieldDescriptor.CPPTYPE_MESSAGE
    if not values:
        if is_message:
            values.add()
        else:
            values.append(value_for(field, field.default_value or 0, nodes, rng))
        return
    index = rng.randrange(len(values))
    match rng.randrange(4):
        case 0:
            del values[index]
        case 1 if is_message:
            values.add().CopyFrom(values[index])
        case 1:
            values.append(values[index])
        case 2 if is_message:
            values[index].CopyFrom(values[rng.randrange(len(values))])
        case _ if not is_message:
            values[index] = value_for(field, values[index], nodes, rng)


def value_for(
    field: FieldDescriptor, before: Any, nodes: list[onnx.NodeProto], rng: random.Random
) -> Any:
    """Another value that the field can hold."""
    if field.enum_type is not None:
        return rng.choice([value.number for value in field.enum_type.values])
    if field.cpp_type in INTEGERS:
        changed = rng.choice([before + 1, before - 1, rng.choice(STRANGE), rng.choice(STRANGE)])
        bits = 32 if field.cpp_type in NARROW else 64
        if field.cpp_type in UNSIGNED:
            return changed % 2**bits
        return (changed + 2 ** (bits - 1)) % 2**bits - 2 ** (bits - 1)
    if field.cpp_type in REALS:
        return rng.choice(FLOATS)
    if field.type == FieldDescriptor.TYPE_BYTES:
        return bytes_for(before or b"", rng)
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        if field.name == "op_type":
            return rng.choice(OPS)
        names = [name for node in nodes for name in (*node.input, *node.output, node.name)]
        return rng.choice([*names, "", "x", "N", "é\0<", "../x", "ai.onnx"])
    return not before


def bytes_for(before: bytes, rng: random.Random) -> bytes:
    """A text or the data of a tensor, shorter, longer or with another byte."""
    match rng.randrange(3):
        case 0:
            return before[: rng.randrange(len(before) + 1)]
        case 1:
            return before + rng.randbytes(rng.randint(1, 9))
        case _:
            index = rng.randrange(len(before) + 1)
            return before[:index] + rng.randbytes(1) + before[index + 1 :]
