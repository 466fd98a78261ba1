"""What a run was given, and what it did before it looked at layers."""

from sparsepass.report.schema.value import Value

__all__ = ["Machine", "ModelFile", "PassRun", "Samples", "SkippedNode", "StageTime", "Tensor"]


class Tensor(Value):
    """A graph input; open dimensions keep their name or "?"."""

    name: str
    shape: tuple[int | str, ...]
    element_type: str = "float32"


class ModelFile(Value):
    """The model that was read, and the size of the one that was written, if one was."""

    name: str
    digest: str
    ir_version: int
    opset: int
    before_bytes: int
    after_bytes: int | None = None
    inputs: tuple[Tensor, ...] = ()


class Machine(Value):
    """Where the times were taken or predicted for; ``cores`` is None for a machine elsewhere."""

    cpu: str
    isa: str
    cores: int | None
    onnxruntime: str
    threads: int


class PassRun(Value):
    """A graph pass that ran, and whether it changed anything."""

    name: str
    modified: bool


class Samples(Value):
    """The inputs that activations and errors were measured on."""

    count: int
    source: str
    seed: int


class SkippedNode(Value):
    """A convolution-like node that is no layer, and why."""

    name: str
    op_type: str
    reason: str


class StageTime(Value):
    """How long one stage of the run itself took; ``choosing`` is the integer programme."""

    stage: str
    seconds: float
