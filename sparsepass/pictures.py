"""From pictures to a network's input: resize, crop, order of channels, mean and deviation."""

import re
import struct
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sparsepass.errors import UsageError
from sparsepass.limits import MOST_PIXELS

__all__ = ["SUFFIXES", "ImageTransform"]

Order = Literal["rgb", "bgr", "gray"]

SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"})
# What readers of pictures raise on files that make no sense.
ERRORS = (
    ArithmeticError,
    EOFError,
    Image.DecompressionBombError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
)


@dataclass(frozen=True)
class ImageTransform:
    """From a picture to a network's input: resize, centre crop, then (pixel / scale - mean) / std.

    The short side becomes ``size`` before the crop; without a size the picture is made just large
    enough to cover the input.  ``mean`` and ``std`` hold one value or one per channel, in the
    channel order after ``order`` was applied.  The default is RGB/255 with the mean and standard
    deviation of ImageNet.
    """

    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    scale: float = 255.0
    order: Order = "rgb"
    size: int | None = None

    @classmethod
    def parse(cls, text: str) -> "ImageTransform":
        """Read ``mean=0.485,0.456,0.406;std=0.229,0.224,0.225;scale=255;order=rgb;size=256``.

        A field that is left out keeps its default; raises UsageError for anything else.
        """
        fields: dict[str, Any] = {}
        for part in filter(None, (p.strip() for p in text.split(";"))):
            key, _, value = (p.strip() for p in part.partition("="))
            if key not in FIELD_READERS or key in fields:
                raise UsageError(
                    f"image transform: '{part}' is not understood; use each of "
                    f"{', '.join(FIELD_READERS)} at most once, as in scale=255;order=bgr"
                )
            try:
                fields[key] = FIELD_READERS[key](value)
            except ValueError as error:
                raise UsageError(f"image transform: '{part}': {error}") from error
        return cls(**fields)

    @property
    def channels(self) -> int:
        """Planes of a picture: 1 for gray, else 3."""
        return 1 if self.order == "gray" else 3

    def read(self, path: Path, height: int, width: int) -> NDArray[np.float32]:
        """Decode a file to (channels, height, width); raises UsageError if it is no picture."""
        try:
            with warnings.catch_warnings():
                # Pillow warns of what it still decodes, in lines that are none of a user's.
                warnings.simplefilter("ignore")
                with Image.open(path) as picture:
                    pixels = np.asarray(self.crop(picture, height, width), np.float32)
        except ERRORS as error:
            reason = str(error).splitlines()[0] if str(error) else "damaged"
            raise UsageError(f"{path}: not a picture ({reason}); remove it") from error
        return self.normalized(pixels)

    def normalized(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Planes (channels, height, width) from pixels as decoded."""
        planes = pixels[None] if self.order == "gray" else pixels.transpose(2, 0, 1)
        if self.order == "bgr":
            planes = planes[::-1]
        mean = np.asarray(self.mean, np.float32).reshape(-1, 1, 1)
        std = np.asarray(self.std, np.float32).reshape(-1, 1, 1)
        return np.ascontiguousarray((planes / np.float32(self.scale) - mean) / std)

    def crop(self, picture: Image.Image, height: int, width: int) -> Image.Image:
        """The middle of the resized picture, in RGB or gray."""
        across, down = picture.size
        cover = max(width / across, height / down)
        ratio = cover if self.size is None else max(cover, self.size / min(across, down))
        across, down = max(round(across * ratio), width), max(round(down * ratio), height)
        if across * down > max(MOST_PIXELS, 4 * width * height):
            raise ValueError(f"{across:,} x {down:,} pixels when it is resized")
        converted = picture.convert("L" if self.order == "gray" else "RGB")
        left, top = (across - width) // 2, (down - height) // 2
        resized = converted.resize((across, down), Image.Resampling.BILINEAR)
        return resized.crop((left, top, left + width, top + height))


def read_floats(text: str) -> tuple[float, ...]:
    values = tuple(float(v) for v in text.split(","))
    if len(values) not in (1, 3) or not all(map(np.isfinite, values)):
        raise ValueError("1 or 3 finite numbers are needed")
    return values


def read_divisors(text: str) -> tuple[float, ...]:
    values = read_floats(text)
    if min(values) <= 0:
        raise ValueError("numbers above 0 are needed")
    return values


def read_scale(text: str) -> float:
    (value,) = read_divisors(text)[:1]
    return value


def read_size(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,4}", text):
        raise ValueError("a number of pixels is needed")
    return int(text)


def read_order(text: str) -> Order:
    if text.lower() not in get_args(Order):
        raise ValueError("rgb, bgr or gray is needed")
    return cast(Order, text.lower())


FIELD_READERS: Mapping[str, Callable[[str], Any]] = {
    "mean": read_floats,
    "std": read_divisors,
    "scale": read_scale,
    "order": read_order,
    "size": read_size,
}
