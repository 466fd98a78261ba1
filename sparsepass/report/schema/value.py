"""What all parts of a document are."""

from pydantic import BaseModel, ConfigDict

__all__ = ["Value", "ratio"]


class Value(BaseModel):
    """A frozen part of a document; what is infinite is a string in JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="strings")


def ratio(before: float, after: float) -> float:
    """How many times faster, 1 where nothing is left."""
    return before / after if after > 0 else 1.0
