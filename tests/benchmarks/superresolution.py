"""Pictures for networks that sharpen what was enlarged, and how near to the truth they come."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pruning import SHARED

from sparsepass.network import runner
from sparsepass.runtime.session import session

__all__ = ["luma", "psnr_of", "save_parts"]

Array = NDArray[np.float32]

# What the network takes, and how much smaller its pictures were.
SIZE, SCALE = 256, 2
# Luma of ITU-R BT.601, in which such networks are judged.
RED_GREEN_BLUE, BLACK = (65.481, 128.553, 24.966), 16.0
TRUTH, ENLARGED = "_GT", "_GT_scale_2"


def save_parts(folder: Path, halves: tuple[Path, Path]) -> None:
    """Cut pictures into parts; those of every other picture go into each half, as .npy files."""
    for half in halves:
        half.mkdir()
    for number, path in enumerate(sorted(folder.glob("*.jpg"))):
        with Image.open(path) as picture:
            values = luma(enlarged(picture.convert("RGB")))
        for row in range(values.shape[0] // SIZE):
            for column in range(values.shape[1] // SIZE):
                part = values[row * SIZE :, column * SIZE :][:SIZE, :SIZE]
                name = f"{number:03}-{row}-{column}.npy"
                np.save(halves[number % 2] / name, part[None, None])


def enlarged(picture: Image.Image) -> Image.Image:
    """The picture after it was made smaller and larger again."""
    small = picture.resize(
        (picture.width // SCALE, picture.height // SCALE), Image.Resampling.BICUBIC
    )
    return small.resize(picture.size, Image.Resampling.BICUBIC)


def luma(picture: Image.Image) -> Array:
    """Luma of a picture, from 0 to 1."""
    colours = np.asarray(picture.convert("RGB"), np.float64) / 255
    return ((colours @ np.array(RED_GREEN_BLUE) + BLACK) / 255).astype(np.float32)


def psnr_of(content: bytes) -> float:
    """The mean peak signal-to-noise ratio, in dB, on pictures whose truth is known."""
    run = runner(session(content, threads=1))
    found: list[float] = []
    for path in sorted((SHARED / "images" / "set5").glob(f"*{ENLARGED}.bmp")):
        truth_path = path.with_name(path.name.replace(ENLARGED, TRUTH))
        given, truth = (luma(Image.open(one))[:SIZE, :SIZE] for one in (path, truth_path))
        missing = [(0, SIZE - length) for length in given.shape]
        (output,) = run({"y": np.pad(given, missing, "edge")[None, None]}).values()
        sharp = np.clip(output[0, 0, : truth.shape[0], : truth.shape[1]], 0, 1)
        found.append(-10 * float(np.log10(np.mean((sharp - truth) ** 2))))
    return float(np.mean(found))
