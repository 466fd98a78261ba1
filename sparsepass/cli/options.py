"""Arguments and options that several commands share, declared once."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from sparsepass.errors import UsageError
from sparsepass.pictures import ImageTransform
from sparsepass.runtime.library import instruction_set
from sparsepass.shapes import parse_shape

__all__ = [
    "ImageTransformText", "Isa", "JsonFile", "LabelsFile", "MaxDrop", "MaxError",
    "ModelPath", "ProfileFile", "Quiet", "SamplesPath", "Seed", "Shapes", "Threads",
    "check_target", "read_shapes", "read_transform",
]  # fmt: skip

ModelPath = Annotated[Path, typer.Argument(help="An ONNX model.", show_default=False)]
SamplesPath = Annotated[
    Path | None,
    typer.Option(
        "--samples",
        help="A folder of pictures or .npy files, an .npy or an .npz. Default: random inputs.",
        show_default=False,
    ),
]
ImageTransformText = Annotated[
    str | None,
    typer.Option(
        "--image-transform",
        help="How pictures become inputs, such as 'mean=104,117,123;std=1;scale=1;order=bgr'. "
        "Default: RGB/255 with the mean and deviation of ImageNet.",
        show_default=False,
    ),
]
Shapes = Annotated[
    list[str] | None,
    typer.Option(
        "--shape",
        help="Sizes of an input with open ones, as name:1,3,224,224. May be repeated.",
        show_default=False,
    ),
]
Threads = Annotated[int, typer.Option(min=1, help="Threads that inference will have.")]
Seed = Annotated[int, typer.Option(min=0, help="Seed of random inputs and of the sample order.")]
MaxError = Annotated[
    float,
    typer.Option(
        "--max-error",
        min=0.0,
        help="Allowed relative error of the outputs. Above 0, lossy algorithms are offered.",
    ),
]
MaxDrop = Annotated[
    float | None,
    typer.Option(
        "--max-drop",
        metavar="POINTS",
        min=0.0,
        help="Allowed drop of right first answers, in percentage points. Lossy algorithms are "
        "offered; without labels the answers of the original are the right ones.",
        show_default=False,
    ),
]
LabelsFile = Annotated[
    Path | None,
    typer.Option(
        "--labels",
        help="Class numbers of the samples: an .npy file, or a .txt, .csv or .tsv file with lines "
        "of a number or of a file name and a number. Default: the folders of the samples.",
        show_default=False,
    ),
]
JsonFile = Annotated[
    Path | None, typer.Option("--json", help="Write the report as JSON.", show_default=False)
]
ProfileFile = Annotated[
    Path | None,
    typer.Option(
        "--profile",
        help="A machine profile to use instead of the one 'calibrate' measured.",
        show_default=False,
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print the headline only.")]


def check_isa(isa: str | None) -> str | None:
    """Raise UsageError where this machine does not run ``isa``."""
    return None if isa is None else instruction_set(isa)


Isa = Annotated[
    str | None,
    typer.Option(
        "--isa",
        metavar="[baseline|avx2|avx512]",
        callback=check_isa,
        help="Instruction set of our kernels. Default: the widest that this machine runs.",
        show_default=False,
    ),
]


def read_shapes(texts: Sequence[str] | None) -> dict[str, tuple[int, ...]]:
    """Read the values of ``--shape``."""
    return dict(parse_shape(text) for text in texts or ())


def check_target(target: Path, source: Path | None = None) -> None:
    """Find out before the work that ``target`` cannot be written; raises UsageError.

    ``source`` is a file that it must not replace.
    """
    if source is not None and target.exists() and source.exists() and target.samefile(source):
        raise UsageError(f"{target}: is the input itself; give another path")
    if target.is_dir():
        raise UsageError(f"{target}: is a folder; give the path of a file")
    if not target.parent.is_dir():
        raise UsageError(f"{target}: its folder does not exist; make it or give another path")
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise UsageError(f"{target}: its folder cannot be written; give another path")


def read_transform(text: str | None) -> ImageTransform | None:
    """Read the value of ``--image-transform``."""
    return None if text is None else ImageTransform.parse(text)
