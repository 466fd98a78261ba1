"""What a run takes at most: beyond these sizes an input is a mistake, or made to do harm."""

__all__ = ["MOST_BYTES", "MOST_DOCUMENT_BYTES"]

MOST_BYTES = 16 << 30
"""Bytes of a model's weights, unless the caller says otherwise."""

MOST_DOCUMENT_BYTES = 256 << 20
"""Bytes of a plan, a profile or a report."""
