"""What rows that change weights ask of the second moments of a layer's input patches."""

from sparsepass.layer import Layer
from sparsepass.sparsity import Stats

__all__ = ["refuse_patches", "refuse_taps"]

# Moments of taps^2 float64 take 176 MB here: enough for 3x3 of 512 channels.
MOST_TAPS = 4700
# Weights are fitted to that many positions a tap at least: fewer say nothing of other images.
POSITIONS_PER_TAP = 2


def refuse_taps(layer: Layer) -> str | None:
    """Why no moments are taken of a layer, or None."""
    if layer.taps > MOST_TAPS:
        return f"moments of {layer.taps} taps take too much memory"
    return None


def refuse_patches(layer: Layer, stats: Stats) -> str | None:
    """Why weights cannot be fitted to the layer's moments as they are, or None."""
    if stats.patches is None:
        return "lossy: needs --max-error and --samples"
    if stats.patches.positions < POSITIONS_PER_TAP * layer.taps:
        return "too few samples to fit its weights"
    if not stats.patches.output_energy(layer.weight, layer.bias) > 0:
        return "its output is zero on all samples"
    return None
