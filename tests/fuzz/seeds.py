"""Seeds of the payload fuzzer: every op with the payloads that our packers make.

    python tests/fuzz/seeds.py FOLDER

A seed is one node, in the form of runtime/native/fuzz/case.h.
"""

import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

sys.path.append(str(Path(__file__).parents[1] / "runtime"))

from native import Conv
from sparse_models import CONV, DEPTHWISE, conv_of, map_model, model, problem, with_values
from test_pair import pair_model, parts_of

from sparsepass.layer import ACTIVATIONS
from sparsepass.model import to_bytes
from sparsepass.runtime import ops

SIZE = (2, 9, 7)
# Several layers for each op; where an algorithm does not take one, that is a seed as well.
CONVS = (
    CONV,
    DEPTHWISE,
    Conv(40, 20, 1, 1, 1),
    Conv(6, 2, 3, 2, 3, 2, 3, 2, 1, 1, 2, 0, 1),
    Conv(16, 8, 1, 5, 5, pad_top=2, pad_left=2, pad_bottom=2, pad_right=2),
)
KINDS = {onnx.AttributeProto.INT: 0, onnx.AttributeProto.INTS: 1, onnx.AttributeProto.FLOAT: 2}
RESIDUAL = "R"


def models() -> Iterator[tuple[str, onnx.ModelProto, dict[str, tuple[int, ...]]]]:
    """A name, a model of one node and the shapes of what it is fed."""
    for stem in ops.STEMS:
        for epilogue in map(with_values, ops.EPILOGUES):
            for index, conv in enumerate((conv_of(stem), *CONVS)):
                given = problem(conv, epilogue, SIZE)
                shapes = {"x": given.x.shape, RESIDUAL: conv.output_shape(*SIZE)}
                name = f"{stem.name}{epilogue.suffix}-{index}"
                yield name, model(stem, epilogue, given, with_body=False), shapes
    for activation in ACTIVATIONS:
        epilogue = with_values(next(e for e in ops.EPILOGUES if e.activation == activation))
        parts = parts_of(epilogue)
        proto = pair_model(epilogue, parts, with_body=False)
        yield f"{ops.PAIR.name}{activation}", proto, {"x": parts[0].x.shape}
    for op, attributes in (
        (ops.LRN, "size = 5, alpha = 1e-4, beta = 0.75, bias = 2.0"),
        (ops.MAX_POOL, "kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]"),
        (ops.KEEP_LARGEST, "kept = 2, block = 7"),
    ):
        proto = onnx.load_from_string(to_bytes(map_model(op, attributes, "N,C,H,W", "N,C,P,Q")))
        yield op.name, proto, {"x": (2, 7, 9, 11)}


def encoded(proto: onnx.ModelProto, shapes: dict[str, tuple[int, ...]]) -> bytes:
    """The first node of our domain as a case: baseline, one thread, arrays at the end."""
    node = next(node for node in proto.graph.node if node.domain == ops.DOMAIN)
    constants = {t.name: numpy_helper.to_array(t) for t in proto.graph.initializer}
    kept = [a for a in node.attribute if a.type in KINDS]
    return b"".join([
        bytes([0, 0, 1, 0]), text(node.op_type),
        bytes([len(kept)]), *map(attribute, kept),
        bytes([len(node.input)]),
        *(tensor(constants.get(name), shapes.get(name, ())) for name in node.input),
    ])  # fmt: skip


def text(value: str) -> bytes:
    return bytes([len(value)]) + value.encode()


def attribute(given: onnx.AttributeProto) -> bytes:
    ints = [given.i] if given.type == onnx.AttributeProto.INT else list(given.ints)
    start = struct.pack("<BfB", KINDS[given.type], given.f, len(ints))
    return text(given.name) + start + struct.pack(f"<{len(ints)}q", *ints)


def tensor(constant: np.ndarray | None, shape: tuple[int, ...]) -> bytes:
    """A constant, or what is fed in a shape."""
    array = np.linspace(-1, 1, 97, dtype=np.float32) if constant is None else constant
    kind = numpy_helper.from_array(array).data_type
    dims = shape if constant is None else array.shape
    start = struct.pack("<BBB", constant is not None, kind, len(dims))
    return b"".join([
        start, struct.pack(f"<{len(dims)}q", *dims), struct.pack("<H", array.size), array.tobytes(),
    ])  # fmt: skip


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, proto, shapes in models():
        (folder / name).write_bytes(encoded(proto, shapes))


if __name__ == "__main__":
    main()
