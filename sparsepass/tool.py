"""What this tool calls itself."""

from importlib.metadata import version

__all__ = ["tool_name"]


def tool_name() -> str:
    """Name and version of this tool, as files carry it."""
    return f"sparsepass {version('sparsepass')}"
