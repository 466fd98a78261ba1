"""Text from models, made fit to be shown."""

__all__ = ["printable"]


def printable(text: str) -> str:
    """``text`` without control characters, which could steer a terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
