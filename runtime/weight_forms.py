"""The forms in which ops take the weight of a convolution."""

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["DENSE", "SPARSE", "WeightForm"]


def no_attributes(opset: int) -> tuple[str, ...]:
    return ()


def no_lines(opset: int, tag: str) -> tuple[str, ...]:
    return ()


@dataclass(frozen=True)
class WeightForm:
    """Constant inputs between ``X`` and ``B``, and what a function body does with them.

    ``attributes`` are those that describe them in an opset.  ``lines`` make the dense ``W`` of
    them; all names in them end in a tag.  ``oldest_opset`` is the first that can.
    """

    inputs: tuple[str, ...]
    attributes: Callable[[int], tuple[str, ...]] = no_attributes
    lines: Callable[[int, str], tuple[str, ...]] = no_lines
    oldest_opset: int = 1


def shape_attributes(opset: int) -> tuple[str, ...]:
    """The attributes that carry the shape of a sparse weight.

    ``w_shape`` is a list of integers because shape inference of a custom op cannot read constants.
    Constant takes such a list from opset 12 on; before, ``w_dims`` holds it once more as a tensor.
    """
    return ("w_shape",) if opset >= 12 else ("w_shape", "w_dims")


def scattered(opset: int, tag: str) -> tuple[str, ...]:
    """Lines that rebuild the dense weight; a runtime folds them when it loads the model."""
    constant = (
        f"value_ints: ints = @w_shape{tag}" if opset >= 12 else f"value: tensor = @w_dims{tag}"
    )
    scatter = "ScatterElements" if opset >= 11 else "Scatter"
    return (
        f"shape{tag} = Constant <{constant}> ()",
        f"size{tag} = ReduceProd <keepdims = 1> (shape{tag})",
        f"zeros{tag} = ConstantOfShape (size{tag})",
        f"flat{tag} = {scatter} (zeros{tag}, indices{tag}, values{tag})",
        f"W{tag} = Reshape (flat{tag}, shape{tag})",
    )


DENSE = WeightForm(("W",))
# Values and their flat indices; ConstantOfShape came with opset 9.
SPARSE = WeightForm(("values", "indices"), shape_attributes, scattered, oldest_opset=9)
