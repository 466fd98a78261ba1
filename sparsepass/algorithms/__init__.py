"""Every way sparsepass knows to compute a convolution, one row each.

A row is the only place that names an algorithm.  Selection, calibration, rewriting, the report, the
documentation and the tests all loop over ``ALGORITHMS``; adding a row is the whole job.
"""

from collections.abc import Mapping

from sparsepass.algorithms.activation_sparse import CPO, CPS
from sparsepass.algorithms.blocks import BLOCKS
from sparsepass.algorithms.dense import DENSE
from sparsepass.algorithms.depthwise import DEPTHWISE
from sparsepass.algorithms.im2col import IM2COL, MEC
from sparsepass.algorithms.low_rank import LOW_RANK
from sparsepass.algorithms.low_rank_sparse import LOW_RANK_SPARSE
from sparsepass.algorithms.nm import NM
from sparsepass.algorithms.nm_input import NM_INPUT
from sparsepass.algorithms.prune import PRUNE
from sparsepass.algorithms.row import (
    Algorithm,
    Attribute,
    Beside,
    Cut,
    Factor,
    Largest,
    Numerics,
    Option,
    Packed,
    Payload,
    Term,
    Threshold,
    Work,
)
from sparsepass.algorithms.separable import SEPARABLE
from sparsepass.algorithms.threshold import THRESHOLD
from sparsepass.algorithms.tucker import TUCKER
from sparsepass.algorithms.weight_sparse import SPMM
from sparsepass.algorithms.winograd import WINOGRAD_2, WINOGRAD_4
from sparsepass.algorithms.work import dense_work
from sparsepass.layer import Layer
from sparsepass.sparsity import Stats
from sparsepass.target import Target

__all__ = [
    "ALGORITHMS",
    "DENSE",
    "Algorithm",
    "Attribute",
    "Beside",
    "Cut",
    "Factor",
    "Largest",
    "Numerics",
    "Option",
    "Packed",
    "Payload",
    "Term",
    "Threshold",
    "Work",
    "algorithm",
    "dense_work",
    "held_bytes",
]

ALGORITHMS: tuple[Algorithm, ...] = (
    DENSE,
    SPMM,
    DEPTHWISE,
    IM2COL,
    MEC,
    WINOGRAD_2,
    WINOGRAD_4,
    CPO,
    CPS,
    LOW_RANK,
    SEPARABLE,
    TUCKER,
    PRUNE,
    NM,
    BLOCKS,
    LOW_RANK_SPARSE,
    THRESHOLD,
    NM_INPUT,
)


def algorithm(name: str) -> Algorithm | None:
    """The row called ``name``, or None."""
    return next((row for row in ALGORITHMS if row.name == name), None)


def held_bytes(
    layer: Layer,
    stats: Stats,
    target: Target,
    algorithm_name: str,
    parameters: Mapping[str, int],
) -> float:
    """About the bytes of the layer's weight in the form that the algorithm's kernel holds."""
    row = algorithm(algorithm_name)
    options = row.known_options(layer, stats, target) if row else ()
    chosen = next((o for o in options if dict(o.parameters) == dict(parameters)), None)
    if row is None or chosen is None:
        return float(layer.weight.nbytes)
    beside = chosen.chain if row.op else ()
    return chosen.work.weight_bytes + 4 * sum(part.weight.size for part in beside)
