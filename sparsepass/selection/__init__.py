"""Which algorithm each layer gets: the least time of the whole network.

Layers are coupled by the layouts between them (a change is paid once per tensor), by ops that
compute two layers at once, by the error that the outputs may have and by memory, so the plan is an
integer programme (the problem of arXiv 1710.01079, solved exactly).  Its variables: one per offer,
one per node that keeps the layout of its inputs, per tensor whether it is brought into the blocked
layout and whether back, and per pair of layers whether one op computes both.
"""

from sparsepass.selection.answers import ask
from sparsepass.selection.choice import choose
from sparsepass.selection.layout_costs import LayoutCosts, Sides
from sparsepass.selection.limits import EXACT, Limits
from sparsepass.selection.predictions import Quality, quality
from sparsepass.selection.priced import priced_offers

__all__ = [
    "EXACT", "LayoutCosts", "Limits", "Quality", "Sides", "ask", "choose", "priced_offers",
    "quality",
]  # fmt: skip
