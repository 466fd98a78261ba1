"""What ONNX Runtime's own profile says of the nodes of a network."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import onnxruntime

__all__ = ["NodeRun", "end_profile", "node_runs"]

# ONNX Runtime's layout pass names a blocked node after its output.
BLOCKED_SUFFIX = "_nchwc"
EVENT_SUFFIX = "_kernel_time"


@dataclass(frozen=True)
class NodeRun:
    """One run of a node, in whole microseconds; ``arguments`` is what else the profile says."""

    node: str
    blocked: bool
    microseconds: float
    arguments: Mapping[str, Any]


def end_profile(session: onnxruntime.InferenceSession) -> list[NodeRun]:
    """Stop the profile of a session that was opened with one, and read it."""
    path = Path(cast(Any, session).end_profiling())
    return list(node_runs(json.loads(path.read_text(encoding="utf-8"))))


def node_runs(events: Sequence[Mapping[str, Any]]) -> Iterator[NodeRun]:
    """The runs of nodes among the events of a profile, in order."""
    for event in events:
        name = str(event.get("name", ""))
        if event.get("cat") == "Node" and name.endswith(EVENT_SUFFIX):
            name = name.removesuffix(EVENT_SUFFIX)
            yield NodeRun(
                name.removesuffix(BLOCKED_SUFFIX),
                name.endswith(BLOCKED_SUFFIX),
                float(event["dur"]),
                event["args"],
            )
