"""How far rounding alone moves the outputs of a network.

A floating-point sum of n products is the exact sum for products that each differ a little: by
about sqrt(n) u, u being half of epsilon, where roundings have random signs (Higham and Mary, A new
approach to probabilistic rounding error analysis, SIAM J. Sci. Comput. 41, 2019).  So a network
whose weights are disturbed by that much, at random, shows what another order of additions can do
to its outputs, with all that the network itself amplifies or forgives.
"""

import math
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from sparsepass.calibration import nodes_of
from sparsepass.graph import constant_array
from sparsepass.layer import Layer
from sparsepass.model import to_bytes
from sparsepass.network import plain_session, runner
from sparsepass.pipeline.stages import Prepared
from sparsepass.run import RunOptions
from sparsepass.samples import Samples
from sparsepass.verify import Comparison, compare

__all__ = ["disturbed", "rounding_noise"]

UNIT_ROUNDOFF = float(np.finfo(np.float32).eps) / 2
# Each one has many outputs to take the largest deviation from.
NOISE_SAMPLES = 4


def rounding_noise(prepared: Prepared, samples: Samples, options: RunOptions) -> Comparison:
    """Compare a network with itself under disturbed weights, on some of ``samples``."""
    progress = options.step("measuring rounding")
    moved = disturbed(prepared.model, prepared.found.layers, options.seed)
    reference, changed = (
        runner(plain_session(content, threads=options.threads))
        for content in (prepared.clean_content, to_bytes(moved))
    )
    return compare(reference, changed, samples.take(NOISE_SAMPLES), progress)


def disturbed(model: ir.Model, layers: Sequence[Layer], seed: int) -> ir.Model:
    """A copy of a network with each layer's weight times 1 + sqrt(terms) u, of random sign."""
    copy = model.clone()
    nodes = nodes_of(copy, layers)
    weights = {nodes[layer.name].inputs[1]: layer.taps + 1 for layer in layers}
    rng = np.random.default_rng(seed)
    for value, terms in weights.items():
        array = constant_array(value)
        if value is None or array is None:
            continue
        signs = rng.choice((-1.0, 1.0), array.shape)
        moved = array * (1 + math.sqrt(terms) * UNIT_ROUNDOFF * signs)
        value.const_value = ir.tensor(moved.astype(array.dtype), name=value.name)
    return copy
