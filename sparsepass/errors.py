"""What can go wrong and be mended by the caller.

Every message is one line that names the file or the node, says what was wrong and what to do.
"This algorithm cannot take this layer" is not an error but a ``Refusal`` (see ``plan``).
"""

__all__ = ["ModelError", "PlanError", "SparsepassError", "UsageError", "VerificationError"]


class SparsepassError(Exception):
    """Base of all errors that sparsepass raises on purpose."""


class ModelError(SparsepassError):
    """The model, its external data or one of its nodes cannot be read or used."""


class PlanError(SparsepassError):
    """A plan does not fit the model, or a profile does not fit the machine."""


class UsageError(SparsepassError):
    """An argument, a path, a shape or a set of samples is wrong."""


class VerificationError(SparsepassError):
    """The rewritten network did not give the outputs of the original one."""
