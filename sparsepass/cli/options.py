"""Arguments and options that several commands share, declared once."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sparsepass.pictures import ImageTransform

__all__ = [
    "ImageTransformText", "Isa", "JsonFile", "LabelsFile", "MaxDrop", "MaxError",
    "ModelPath", "ProfileFile", "ProfileFiles", "Quiet", "SamplesPath", "Seed", "Shapes",
    "Threads", "read_shapes", "read_transform",
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
ProfileFiles = Annotated[
    list[Path] | None,
    typer.Option(
        "--profile",
        help="A machine profile to use instead of the one 'calibrate' measured. May be repeated in "
        "a dry run, which then compares the plans.",
        show_default=False,
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print the headline and warnings only.")]


def check_isa(isa: str | None) -> str | None:
    """Raise UsageError where this machine does not run ``isa``."""
    if isa is None:
        return None
    from sparsepass.cli import work

    return work.instruction_set(isa)


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
    from sparsepass.cli import work

    return dict(work.parse_shape(text) for text in texts or ())


def read_transform(text: str | None) -> "ImageTransform | None":
    """Read the value of ``--image-transform``."""
    from sparsepass.cli import work

    return None if text is None else work.ImageTransform.parse(text)
