"""Which algorithms have a place in what a run writes."""

from sparsepass.algorithms import DENSE, Algorithm
from sparsepass.run import FREE, NM_SERIES, RunOptions

__all__ = ["refuse_emitted"]


def refuse_emitted(row: Algorithm, options: RunOptions) -> str | None:
    """Why a row has no place in what is written, or None."""
    if options.emit == NM_SERIES:
        return None if row is DENSE or row.terms else f"not {options.emit}"
    if options.pattern == FREE:
        return refuse_pattern(row)
    if row.numerics != "lossy" or row.pattern == options.pattern:
        return None
    return f"not {options.pattern}"


def refuse_pattern(row: Algorithm) -> str | None:
    """Why a row is out of place where nobody asked for the pattern of its zeros, or None."""
    if not row.pattern:
        return None
    # Our kernels take any zeros, and those that pruning chooses freely cost the outputs less.
    asking = f"--emit {NM_SERIES}" if row.terms else f"prune --pattern {row.pattern}"
    return f"a pattern of zeros gains nothing over free ones here; give {asking} for it"
