"""Plan many models for the machines of a Ray cluster: one file for each model and kind of machine.

    pip install ray
    python examples/fleet.py models/*.onnx -o planned --threads 1

Ray finds the cluster that it is started in, or starts one of this machine.  Machines of one
processor are of one kind.  One machine of each kind is calibrated, unless its profile is given
with ``--profiles``; then the models are dealt to all machines of the kind, which choose by what
they measure.  Each task takes a whole machine, so that nothing disturbs its timings.
"""

import argparse
import itertools
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray  # pyright: ignore[reportMissingImports]
from ray.util.scheduling_strategies import (  # pyright: ignore[reportMissingImports]
    NodeAffinitySchedulingStrategy,
)

import sparsepass
from sparsepass.profile import MachineProfile, cpu_name
from sparsepass.runtime.library import instruction_set
from sparsepass.runtime.microbench import measure_profile

__all__ = ["Planned", "calibrated", "plan_fleet"]


@dataclass(frozen=True)
class Planned:
    """A model for a kind of machine: the file, and the speed-up over plain ONNX Runtime there."""

    model: str
    kind: str
    file: Path
    speedup: float


def kind_of_machine() -> str:
    """What machines have in common that share profiles and plans."""
    return f"{cpu_name()} {instruction_set()}"


def calibrated(threads: int) -> str:
    """The profile of the machine that this runs on, as JSON; takes minutes."""
    return measure_profile(threads).model_dump_json()


def optimized(content: bytes, profile: str, threads: int) -> tuple[bytes, float]:
    """One model, planned and measured on the machine that this runs on."""
    prices = MachineProfile.model_validate_json(profile)
    result = sparsepass.optimize(content, threads=threads, profile=prices)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        result.save(path)
        network = result.report.network
        return path.read_bytes(), network.speedup if network else 1.0


def plan_fleet(
    models: Sequence[Path],
    out: Path,
    *,
    threads: int = 1,
    profiles: Iterable[MachineProfile] = (),
    calibrate: Callable[[int], str] = calibrated,
) -> list[Planned]:
    """Plan every model for every kind of machine in the cluster, and write the files to ``out``."""
    machines = machines_by_kind()
    known = {f"{p.cpu} {p.isa}": p.model_dump_json() for p in profiles if p.threads == threads}
    waiting = {
        kind: on_machine(calibrate, nodes[0]).remote(threads)
        for kind, nodes in machines.items()
        if kind not in known
    }
    known |= {kind: ray.get(found) for kind, found in waiting.items()}
    contents = {model: ray.put(model.read_bytes()) for model in models}
    tasks = [
        (kind, model, on_machine(optimized, node).remote(contents[model], known[kind], threads))
        for kind, nodes in machines.items()
        for model, node in zip(models, itertools.cycle(nodes), strict=False)
    ]
    return [written(out, kind, model, *ray.get(task)) for kind, model, task in tasks]


def machines_by_kind() -> dict[str, list[Mapping[str, Any]]]:
    """The machines of the cluster, those of one kind together."""
    nodes = [n for n in ray.nodes() if n["Alive"] and n["Resources"].get("CPU")]
    kinds = ray.get([on_machine(kind_of_machine, node).remote() for node in nodes])
    found: dict[str, list[Mapping[str, Any]]] = {}
    for kind, node in zip(kinds, nodes, strict=True):
        found.setdefault(kind, []).append(node)
    return found


def on_machine(work: Callable[..., Any], node: Mapping[str, Any]) -> Any:
    """``work`` as a task that has one machine for itself."""
    here = NodeAffinitySchedulingStrategy(node_id=node["NodeID"], soft=False)
    return ray.remote(work).options(
        num_cpus=node["Resources"]["CPU"], scheduling_strategy=here, max_retries=0
    )


def written(out: Path, kind: str, model: Path, content: bytes, speedup: float) -> Planned:
    folder = out / "-".join(kind.lower().split())
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{model.stem}.sparse.onnx"
    file.write_bytes(content)
    return Planned(model.name, kind, file, speedup)


def main() -> None:
    """Read the command line, plan, print a line for each file."""
    parser = argparse.ArgumentParser(description="Plan models for the machines of a Ray cluster.")
    parser.add_argument("models", nargs="+", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--profiles", nargs="*", type=Path, default=[], help="measured before")
    options = parser.parse_args()

    ray.init(log_to_driver=False)
    profiles = [MachineProfile.load(path) for path in options.profiles]
    for found in plan_fleet(
        options.models, options.output, threads=options.threads, profiles=profiles
    ):
        print(f"{found.kind}: {found.file}, {found.speedup:.2f}x")


if __name__ == "__main__":
    main()
