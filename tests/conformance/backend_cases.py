"""The cases of the onnx backend test suite: models with inputs and expected outputs."""

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import ModelProto, TypeProto, numpy_helper
from onnx.backend.test.loader import load_model_tests

from sparsepass.runtime.session import register, session_options

KINDS = ("node", "simple", "pytorch-converted", "pytorch-operator")
PRODUCTS = ("Conv", "Gemm", "MatMul")
ZEROS = 0.8


@dataclass(frozen=True)
class Case:
    """A model, what it is run on, what it then gives, and how far from that is still right."""

    name: str
    model: ModelProto
    feeds: tuple[dict[str, Any], ...]
    expected: tuple[list[Any], ...]
    rtol: float
    atol: float

    @cached_property
    def loads(self) -> bool:
        """Whether ONNX Runtime loads the model."""
        try:
            run_on(self.model, None, library=False)
        except Exception:
            return False
        return True

    @cached_property
    def outputs(self) -> list[list[Any]] | None:
        """What ONNX Runtime gives, None where that is not as expected, or not for NumPy to hold."""
        try:
            found = [run_on(self.model, feed, library=False) for feed in self.feeds]
        except Exception:
            return None
        pairs = zip(self.expected, found, strict=True)
        right = all(difference(a, b, self.rtol, self.atol) is None for a, b in pairs)
        return found if right else None


def backend_cases() -> Iterator[Case]:
    """Every case whose data comes with onnx, by name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = [test for kind in KINDS for test in load_model_tests(kind=kind)]
    for test in sorted(found, key=lambda test: test.name):
        model, sets = test.model, test.data_sets
        if model is None:
            model = onnx.load(Path(test.model_dir, "model.onnx"))
            sets = [read_set(path, model) for path in sorted(Path(test.model_dir).glob("test_*"))]
        names = [value.name for value in model.graph.input]
        feeds = tuple(
            {n: value_of(v) for n, v in zip(names, inputs, strict=False) if v is not None}
            for inputs, _ in sets
        )
        expected = tuple([value_of(output) for output in outputs] for _, outputs in sets)
        yield Case(test.name, model, feeds, expected, test.rtol, test.atol)


def value_of(value: Any) -> Any:
    """Data of a case as ONNX Runtime takes it: arrays, lists of them, or none."""
    if isinstance(value, list | tuple):
        return [value_of(entry) for entry in value]
    if isinstance(value, onnx.TensorProto):
        return numpy_helper.to_array(value)
    return None if value is None else np.asarray(value)


def read_set(folder: Path, model: ModelProto) -> tuple[list[Any], list[Any]]:
    graph = model.graph
    return (
        [read(folder / f"input_{i}.pb", value.type) for i, value in enumerate(graph.input)],
        [read(folder / f"output_{i}.pb", value.type) for i, value in enumerate(graph.output)],
    )


def read(path: Path, kind: TypeProto) -> Any:
    """A value from its file; None where there is no such file."""
    if not path.exists():
        return None
    proto, convert = {
        "sequence_type": (onnx.SequenceProto(), numpy_helper.to_list),
        "optional_type": (onnx.OptionalProto(), numpy_helper.to_optional),
    }.get(kind.WhichOneof("value"), (onnx.TensorProto(), numpy_helper.to_array))
    proto.ParseFromString(path.read_bytes())
    return convert(proto)


def pruned(case: Case) -> Case | None:
    """The case with the weights and biases of its products as constants, most of them zeros.

    None where no product reads a float32 input or constant of the graph as its weight.
    """
    if len(case.feeds) != 1:
        return None
    model, feed = ModelProto.FromString(case.model.SerializeToString()), dict(case.feeds[0])
    read = [name for node in model.graph.node if is_product(node) for name in node.input[1:]]
    data = {node.input[0] for node in model.graph.node if is_product(node)}
    values = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer} | feed
    weights = [n for n in dict.fromkeys(read) if is_float(values.get(n)) and n not in data]
    if not weights:
        return None
    others = [tensor for tensor in model.graph.initializer if tensor.name not in weights]
    del model.graph.initializer[:]
    model.graph.initializer.extend(others)
    for name in weights:
        model.graph.initializer.append(numpy_helper.from_array(with_zeros(values[name]), name))
        feed.pop(name, None)
    kept = [value for value in model.graph.input if value.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    try:
        outputs = run_on(model, feed, library=False)
    except Exception:
        return None
    return Case(f"{case.name} (pruned)", model, (feed,), (outputs,), case.rtol, case.atol)


def is_product(node: onnx.NodeProto) -> bool:
    return node.op_type in PRODUCTS and node.domain in ("", "ai.onnx")


def is_float(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == np.float32


def with_zeros(weight: np.ndarray) -> np.ndarray:
    return np.where(np.random.default_rng(0).random(weight.shape) < ZEROS, 0, weight).astype("f")


def run_on(
    model: ModelProto | bytes, feed: Mapping[str, Any] | None, *, library: bool
) -> list[Any]:
    """The outputs in ONNX Runtime, with our library or not; none where it is only to be loaded."""
    options: Any = session_options(1, None)
    options.log_severity_level = 4
    if library:
        register(options)
    content = model if isinstance(model, bytes) else model.SerializeToString()
    opened: Any = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    if feed is None:
        return []
    known = {value.name for value in opened.get_inputs()}
    known |= {value.name for value in opened.get_overridable_initializers()}
    return opened.run(None, {name: value for name, value in feed.items() if name in known})


def difference(expected: Any, found: Any, rtol: float, atol: float) -> str | None:
    """How ``found`` is not what was ``expected``, or None."""
    if isinstance(expected, list | tuple):
        if not isinstance(found, list | tuple) or len(expected) != len(found):
            return f"{type(found).__name__} for {len(expected)} values"
        pairs = zip(expected, found, strict=True)
        return next(filter(None, (difference(*pair, rtol, atol) for pair in pairs)), None)
    if expected is None or found is None:
        return None if expected is found else "a value for none"
    a, b = np.asarray(expected), np.asarray(found)
    if a.dtype != b.dtype or a.shape != b.shape:
        return f"{b.dtype}{list(b.shape)} for {a.dtype}{list(a.shape)}"
    if a.dtype.kind in "fc" or a.dtype.name.startswith(("bfloat", "float")):
        same = np.allclose(b.astype("c16"), a.astype("c16"), rtol, atol, equal_nan=True)
    else:
        same = bool((a == b).all())
    return None if same else "other values"
