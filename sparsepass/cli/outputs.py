"""Where a command writes: known before the work to be possible, and nothing that the run reads."""

from collections.abc import Sequence
from pathlib import Path

from sparsepass.errors import UsageError
from sparsepass.files import check_targets

__all__ = ["beside", "check_outputs"]


def beside(model: Path, suffix: str) -> Path:
    """The default output: MODEL with another suffix; raises UsageError where it is a folder."""
    if not model.name:
        raise UsageError(f"{model}: is a folder; give an .onnx file")
    return model.with_suffix(suffix)


def check_outputs(
    outputs: Sequence[Path | None],
    read: Sequence[Path | None],
    *,
    models: Sequence[Path] = (),
    samples: Path | None = None,
) -> None:
    """Raise UsageError for an output that cannot be written, or that the run reads.

    It reads the files ``read``, the ``models`` with the files that hold their weights, and
    ``samples``, a file or a folder of them.
    """
    from sparsepass.cli import work

    targets = [path for path in outputs if path]
    check_targets(targets, [path for path in (*read, *models, samples) if path])
    present = [path for path in targets if path.exists()]
    if not present:
        return
    taken = [path for model in models for path in work.external_files(model)]
    if samples is not None and samples.is_dir():
        taken += [path for path in present if work.is_sample_of(samples, path)]
    check_targets(targets, taken)
