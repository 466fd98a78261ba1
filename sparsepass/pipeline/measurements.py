"""Times of offers that earlier runs measured on this machine, by what decides them of a layer.

A network that was optimized before is not measured again, a sibling of it only where its layers are
new, and both get the same plan.  Prices can be learned from the times, see ``learn``.  The file in
the user's cache belongs to one processor, instruction set and number of threads; with another ONNX
Runtime or build of our library it starts empty.
"""

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import onnxruntime
from pydantic import BaseModel, ConfigDict, ValidationError

from sparsepass.algorithms import Work, algorithm
from sparsepass.cost import kind
from sparsepass.files import make_folder, read_document, write_text
from sparsepass.layer import Layer
from sparsepass.pipeline.stages import Studied
from sparsepass.pipeline.turns import Key, key_of
from sparsepass.plan import Answer, Offer
from sparsepass.profile import cached_path
from sparsepass.runtime.fitting import Sample
from sparsepass.runtime.library import library_path
from sparsepass.runtime.timing import low
from sparsepass.sparsity import Stats
from sparsepass.target import Target

__all__ = ["Measurements", "measurements_path", "signature", "software"]

# Turns of an offer that are kept, the latest: those of a few races.
MOST_TURNS = 40
# Non-zeros count in steps of this share of them: a smaller one moves a time less than its noise.
STEP = 0.05


class Measured(BaseModel):
    """An offer: its microseconds, one per turn, and what it does for them, by its kind of prices.

    Lossy offers have no counted ``work``.
    """

    model_config = ConfigDict(extra="forbid")

    times: list[float]
    kind: str = ""
    work: Work | None = None


class Measurements(BaseModel):
    """Measured offers by the signature of the layer and the offer's name.

    ``software`` is what they were measured with.
    """

    model_config = ConfigDict(extra="forbid")

    software: str
    layers: dict[str, dict[str, Measured]]

    @classmethod
    def load(cls, path: Path) -> "Measurements":
        """Read a file; where it is absent, of other software or none of these, there are none."""
        try:
            found = cls.model_validate_json(read_document(path))
        except (OSError, ValidationError):
            found = None
        here = software()
        return found if found and found.software == here else cls(software=here, layers={})

    def save(self, path: Path) -> None:
        """Write the file; raises UsageError where that is impossible."""
        make_folder(path.parent)
        write_text(path, self.model_dump_json() + "\n")

    def save_changes(self, path: Path, before: "Measurements") -> None:
        """Write what changed here since ``before``: another run may have saved times meanwhile.

        Raises UsageError where that is impossible.
        """
        now = Measurements.load(path)
        for layer in before.layers | self.layers:
            old, new = before.layers.get(layer, {}), self.layers.get(layer, {})
            offers = now.layers.setdefault(layer, {})
            for name in old | new:
                if old.get(name) == new.get(name):
                    continue
                offers.pop(name, None)
                if name in new:
                    offers[name] = new[name]
        now.save(path)

    def known(
        self, studied: Studied, answers: Mapping[str, Sequence[Answer]]
    ) -> dict[Key, list[float]]:
        """The times of the offers for each layer, where there are any."""
        signatures = signatures_of(studied)
        return {
            key: list(found.times)
            for layer, offer in offers_in(answers)
            if (key := key_of(layer, offer))
            and (found := self.layers.get(signatures[layer], {}).get(name_of(key)))
        }

    def add(self, studied: Studied, times: Mapping[Key, Sequence[float]]) -> None:
        """Keep new times, of layers that are alike as if they were one."""
        signatures = signatures_of(studied)
        layers = {layer.name: layer for layer in studied.layers}
        for key, turns in times.items():
            offers = self.layers.setdefault(signatures[key[0]], {})
            if name_of(key) not in offers:
                offers[name_of(key)] = measured(
                    layers[key[0]], studied.stats[key[0]], studied.target, key
                )
            kept = offers[name_of(key)].times
            kept.extend(round(us, 1) for us in turns)
            del kept[:-MOST_TURNS]

    def forget(self, studied: Studied, answers: Mapping[str, Sequence[Answer]]) -> None:
        """Drop the times of the offers for each layer."""
        signatures = signatures_of(studied)
        for layer, offer in offers_in(answers):
            self.layers.get(signatures[layer], {}).pop(name_of(key_of(layer, offer)), None)

    def samples(self) -> list[Sample]:
        """What prices can be learned from: each offer whose work is counted, once."""
        return [
            Sample((name.split()[0], found.kind), layer, found.work, low(found.times))
            for layer, offers in self.layers.items()
            for name, found in offers.items()
            if found.work is not None and found.times
        ]


def measured(layer: Layer, stats: Stats, target: Target, key: Key) -> Measured:
    """An offer without times yet."""
    _, name, parameters = key
    row = algorithm(name)
    if row is None or row.numerics == "lossy":
        return Measured(times=[])
    options = row.known_options(layer, stats, target)
    work = next((o.work for o in options if dict(o.parameters) == dict(parameters)), None)
    return Measured(times=[], kind=kind(row, layer, target.block), work=work)


def offers_in(answers: Mapping[str, Sequence[Answer]]) -> Iterator[tuple[str, Offer]]:
    """Each layer's name with each offer for it."""
    for layer, layer_answers in answers.items():
        yield from ((layer, answer) for answer in layer_answers if isinstance(answer, Offer))


def signatures_of(studied: Studied) -> dict[str, str]:
    return {layer.name: signature(layer, studied.stats[layer.name]) for layer in studied.layers}


def signature(layer: Layer, stats: Stats) -> str:
    """All of a layer that its time depends on, for people too."""
    zeros = None if stats.input is None else stats.input.zeros_mean
    parts = (
        f"{layer.op_type} {layer.shape_text}",
        f"batch {layer.batch}",
        "pads " + "x".join(map(str, layer.pads)),
        layer.epilogue.suffix or "no epilogue",
        f"{stepped(stats.weight.density)} % of weights",
        "input not known" if zeros is None else f"{stepped(1 - zeros)} % of input",
    )
    return ", ".join(parts)


def stepped(share: float) -> str:
    """A share in percent, to the next step from all of it down."""
    if share <= 0:
        return "0"
    steps = round(math.log(share) / math.log1p(STEP))
    return f"{100 * (1 + STEP) ** steps:.3g}"


def name_of(key: Key) -> str:
    """An offer without its layer: ``spmm``, ``low-rank rank=16``."""
    _, algorithm_name, parameters = key
    return " ".join([algorithm_name, *(f"{name}={value}" for name, value in parameters)])


def software() -> str:
    """What times depend on besides the machine; a build of our library is known by its content."""
    build = hashlib.sha256(library_path().read_bytes()).hexdigest()[:16]
    return f"onnxruntime {onnxruntime.__version__}, library {build}"


def measurements_path(cpu: str, isa: str, threads: int) -> Path:
    """Where the times of a machine are kept for the user, beside its profile."""
    profile = cached_path(cpu, isa, threads)
    return profile.parent.parent / "measurements" / profile.name
