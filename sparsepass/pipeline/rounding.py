"""Weights rounded layer after layer, each by what the rounded ones before it leave.

A layer that reads what others have changed is first fitted to what the original computes, then
rounded by the moments of its new inputs: it makes up for the rounding of those before it
(the asymmetric calibration of GPTAQ, arXiv 2504.02692).
"""

from collections.abc import Mapping

import numpy as np

from sparsepass.algorithms import Cut
from sparsepass.bits import Bits
from sparsepass.layer import Array
from sparsepass.pipeline.fit import fitted_for_gain
from sparsepass.pipeline.stages import Studied
from sparsepass.quantization import CodedRows, code_rows
from sparsepass.reconstruction import CrossMoments, Weights
from sparsepass.run import RunOptions

__all__ = ["rounded_in_order"]


def rounded_in_order(
    studied: Studied,
    exact: Weights,
    rounded: Weights,
    bits: Mapping[str, Bits],
    cuts: Mapping[str, Cut],
    options: RunOptions,
) -> dict[str, tuple[CodedRows, Array]]:
    """Codes and biases of the layers that ``bits`` names; none where that is no gain.

    ``exact`` are the weights of these layers before they are rounded, ``rounded`` those of all
    convolutions as each is rounded by itself.
    """
    coded: dict[str, CodedRows] = {}

    def method(sums: CrossMoments, weight: Array) -> tuple[Array, Array]:
        layer = sums.layer
        fitted = sums.fit(exact[layer.name][0])[0].reshape(layer.filters, -1)
        moments = np.stack([*sums.covariances()])
        rows = coded[layer.name] = code_rows(fitted, bits[layer.name], moments)
        return sums.with_bias(rows.values(fitted).reshape(layer.groups, -1, layer.taps))

    found = fitted_for_gain(studied, rounded, bits, cuts, options, method)
    return {name: (rows, found[name][1]) for name, rows in coded.items()} if found else {}
