"""Which algorithm each layer gets: the least time of the whole network.

Layers are coupled by the layouts between them (a change is paid once per tensor), by ops that
compute two layers at once, by the error that the outputs may have and by memory, so the plan is an
integer programme (the problem of arXiv 1710.01079, solved exactly).  Its variables: one per offer,
one per node that keeps the layout of its inputs, per tensor whether it is brought into the blocked
layout and whether back, and per pair of layers whether one op computes both.
"""

import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
from scipy import optimize
from scipy.sparse import csr_array

from sparsepass.algorithms import ALGORITHMS, DENSE, Algorithm, algorithm
from sparsepass.cost import CostModel
from sparsepass.errors import PlanError
from sparsepass.layer import Layer
from sparsepass.muted import muted
from sparsepass.plan import Answer, Choice, Offer, Refusal
from sparsepass.sensitivity import Response
from sparsepass.sparsity import Stats
from sparsepass.target import Target

if TYPE_CHECKING:
    import networkx as nx

_optimize = cast(Any, optimize)  # its types are partial

__all__ = ["EXACT", "Limits", "Quality", "ask", "choose", "quality"]

# The margin of a measurement, which is the noise of a timing, as a share of the dense time.
NOISE = 0.02
# Microseconds that decide between equal offers for the earlier row.
TIE = 1e-4
SOLVER_SECONDS = 60.0


def ask(
    layer: Layer,
    stats: Stats,
    target: Target,
    costs: CostModel,
    refuse: Callable[[Algorithm], str | None] = lambda row: None,
) -> tuple[Answer, ...]:
    """Every algorithm's offers for a layer, or its refusal, in the order of the table.

    ``target`` is where the layer will run; work is counted as the prices of ``costs`` were fitted.
    ``refuse`` may add reasons of the caller's own, such as an opset that is too old.
    """
    found = (answers_of(row, layer, stats, target, costs, refuse) for row in ALGORITHMS)
    return tuple(itertools.chain.from_iterable(found))


def answers_of(
    row: Algorithm,
    layer: Layer,
    stats: Stats,
    target: Target,
    costs: CostModel,
    refuse: Callable[[Algorithm], str | None],
) -> Sequence[Answer]:
    reason = refuse(row) or row.refuse(layer, stats, target)
    if reason is None and not costs.knows(row.priced_as):
        reason = "no prices in the machine profile: run sparsepass calibrate"
    if reason is not None:
        return [Refusal(algorithm=row.name, reason=reason)]
    return [
        Offer(
            algorithm=row.name,
            parameters=dict(option.parameters),
            predicted=costs.price(row, layer, option),
            error=option.error,
        )
        for option in row.known_options(layer, stats, costs.target)
    ]


@dataclass(frozen=True)
class Limits:
    """What a plan has to keep to.

    ``responses`` say what a layer's error does to the outputs; without one it passes unchanged.
    The squares of these errors add up to at most ``max_error`` squared.  ``max_bytes`` limits the
    sum of ``weight_bytes``.
    """

    max_error: float = 0.0
    responses: Mapping[str, Response] = field(default_factory=dict[str, Response])
    max_bytes: float | None = None
    weight_bytes: Callable[[Layer, Offer], float] = lambda layer, offer: 0.0

    def output_error(self, layer: str, offer: Offer) -> float:
        """What an offer is expected to do to the outputs."""
        response = self.responses.get(layer)
        return response.output_error(offer.error) if response else offer.error


EXACT = Limits()


def choose(
    layers: Sequence[Layer],
    answers: Mapping[str, Sequence[Answer]],
    layout_graph: "nx.DiGraph[str]",
    costs: CostModel,
    limits: Limits = EXACT,
) -> tuple[Choice, ...]:
    """Return one choice per layer: the least time of the whole graph.

    An offer has to be faster than the dense one by a margin, a share of the dense time.  Where both
    were measured the margin is 2 %.  Else it is the median error of the profile: one for all, as
    an algorithm that is hard to predict is not slower for it.  Between equal offers the earlier row
    wins.  Raises PlanError where nothing fits or the solver gives up.
    """
    max_error, max_bytes = limits.max_error, limits.max_bytes
    problem = Problem()
    pairs = pairs_of(layout_graph)
    in_pairs = {name for pair in pairs.values() for name in pair}
    priced = {
        layer.name: priced_offers(
            layer, answers[layer.name], costs, limits, in_pair=layer.name in in_pairs
        )
        for layer in layers
    }
    for found in priced.values():
        problem.pick_one([problem.binary(c.price) for c in found])
    state_layouts(problem, layout_graph, layers, priced, costs)
    for concat, pair in pairs.items():
        saved = costs.pass_over(bytes_moved(layout_graph, concat))
        state_pair(problem, pair, saved, chosen_where(priced, lambda c: c.paired))
    every = [c for found in priced.values() for c in found]
    if max_error > 0:
        problem.at_most(range(len(every)), [(c.output_error / max_error) ** 2 for c in every], 1.0)
    if max_bytes is not None:
        problem.at_most(range(len(every)), [c.bytes / max_bytes for c in every], 1.0)
    chosen = problem.solve()
    picked = {c.layer: c for c, value in zip(every, chosen, strict=False) if value > 0.5}
    return tuple(
        Choice(
            layer=layer.name,
            algorithm=picked[layer.name].offer.algorithm,
            parameters=picked[layer.name].offer.parameters,
            reason=reason(picked[layer.name], answers[layer.name], priced[layer.name], max_bytes),
        )
        for layer in layers
    )


@dataclass(frozen=True)
class PricedOffer:
    """An offer as the solver sees it.

    ``price`` is what is minimised: the microseconds, with the margin and a tie-break added.
    ``paired`` offers share an op with another layer where that has one too.
    """

    layer: str
    offer: Offer
    price: float
    margin: float
    blocked: bool
    paired: bool
    output_error: float
    bytes: float


def priced_offers(
    layer: Layer,
    answers: Sequence[Answer],
    costs: CostModel,
    limits: Limits,
    *,
    in_pair: bool = False,
) -> list[PricedOffer]:
    """The offers that may win: within the error budget, and not worse than another in every way."""
    offers = [a for a in answers if isinstance(a, Offer)]
    dense = next((o for o in offers if o.algorithm == DENSE.name), None)
    if dense is None:
        raise PlanError(f"{layer.name}: no dense offer; make its answers with select.ask")
    found: list[PricedOffer] = []
    for position, offer in enumerate(offers):
        error = limits.output_error(layer.name, offer)
        if error > limits.max_error:
            continue
        row = algorithm(offer.algorithm)
        margin = 0.0 if offer is dense else margin_of(offer, dense, costs)
        found.append(
            PricedOffer(
                layer=layer.name,
                offer=offer,
                price=offer.microseconds + margin * dense.microseconds + position * TIE,
                margin=margin,
                blocked=row is not None and not row.op,
                paired=in_pair and row is not None and row.paired,
                output_error=error,
                bytes=limits.weight_bytes(layer, offer),
            )
        )
    return undominated(found)


def margin_of(offer: Offer, dense: Offer, costs: CostModel) -> float:
    """The share of the dense time that ``offer`` has to save; see ``choose``."""
    if offer.measured is not None and dense.measured is not None:
        return NOISE
    return max(NOISE, costs.profile.median_error)


def undominated(found: Sequence[PricedOffer]) -> list[PricedOffer]:
    """Drop what another of the same layout and pairing beats or equals in time, error, memory."""
    kept: list[PricedOffer] = []
    for c in sorted(found, key=lambda c: (c.price, c.output_error, c.bytes)):
        if not any(
            k.blocked == c.blocked
            and k.paired >= c.paired
            and k.output_error <= c.output_error
            and k.bytes <= c.bytes
            for k in kept
        ):
            kept.append(c)
    return sorted(kept, key=found.index)


@dataclass
class Problem:
    """An integer programme that grows: least cost under linear constraints, variables in [0, 1]."""

    costs: list[float] = field(default_factory=list[float])
    integral: list[int] = field(default_factory=list[int])
    rows: list[tuple[list[int], list[float], float, float]] = field(
        default_factory=list[tuple[list[int], list[float], float, float]]
    )

    def binary(self, cost: float) -> int:
        """Add a variable that is 0 or 1 and return its index."""
        self.integral.append(1)
        self.costs.append(cost)
        return len(self.costs) - 1

    def continuous(self, cost: float) -> int:
        """Add a variable between 0 and 1; integral where the variables that bound it are."""
        self.integral.append(0)
        self.costs.append(cost)
        return len(self.costs) - 1

    def pick_one(self, variables: Sequence[int]) -> None:
        """Demand that exactly one variable is 1."""
        self.rows.append((list(variables), [1.0] * len(variables), 1.0, 1.0))

    def at_most(self, variables: Sequence[int], factors: Sequence[float], limit: float) -> None:
        """Demand that the weighted sum is at most ``limit``."""
        self.rows.append((list(variables), list(factors), -math.inf, limit))

    def solve(self) -> list[float]:
        """Return the best values; raises PlanError where there are none or time runs out."""
        matrix = csr_array(
            (
                [f for _, factors, _, _ in self.rows for f in factors],
                [v for variables, _, _, _ in self.rows for v in variables],
                np.cumsum([0, *(len(row[0]) for row in self.rows)]),
            ),
            shape=(len(self.rows), len(self.costs)),
        )
        matrix.sum_duplicates()
        _, _, low, high = zip(*self.rows, strict=True)
        with muted():
            result = _optimize.milp(
                self.costs,
                integrality=self.integral,
                bounds=_optimize.Bounds(0, 1),
                constraints=_optimize.LinearConstraint(matrix, low, high),
                options={"time_limit": SOLVER_SECONDS, "mip_rel_gap": 0.0},
            )
        if result.status == 2:
            raise PlanError("no plan fits the memory limit; raise it")
        if result.x is None or result.status != 0:
            raise PlanError(
                f"no plan found in {SOLVER_SECONDS:.0f} s ({result.message}); set a smaller budget"
            )
        return [float(v) for v in result.x]


class Term(NamedTuple):
    """A layout as a sum of variables and a constant: 1 where it is blocked, else 0."""

    variables: tuple[int, ...] = ()
    constant: float = 0.0


NCHW, ALWAYS = Term(), Term((), 1.0)


def state_layouts(
    problem: Problem,
    graph: "nx.DiGraph[str]",
    layers: Sequence[Layer],
    priced: Mapping[str, Sequence[PricedOffer]],
    costs: CostModel,
) -> None:
    """Add the layout of every node, and the price of the changes between them."""
    chosen = chosen_where(priced, lambda c: c.blocked)
    reads: dict[str, Term] = {}
    writes: dict[str, Term] = {}
    for name, data in cast(Any, graph.nodes(data=True)):
        if data["kind"] == "transparent":
            # What NCHW costs more is taken off the price of the blocked layout: the sum differs by
            # a constant.
            discount = costs.unblocked(data["op_type"], bytes_moved(graph, name))
            reads[name] = writes[name] = Term((problem.binary(-discount),))
        elif data["kind"] == "layer":
            own = chosen.get(name) or ALWAYS
            reads[name] = own if data["reads_blocked"] else NCHW
            writes[name] = own if data["writes_blocked"] else NCHW
        else:
            reads[name] = writes[name] = ALWAYS if data["kind"] == "blocked" else NCHW
    for name, data in cast(Any, graph.nodes(data=True)):
        if data["kind"] == "transparent":
            follow_inputs(problem, reads[name], [writes[p] for p in graph.predecessors(name)])
    add_changes(problem, graph, reads, writes, costs)
    for layer in layers:
        add_unfused(problem, graph, layer, writes, costs)


def bytes_moved(graph: "nx.DiGraph[str]", name: str) -> float:
    """Bytes of the tensors that a node reads and writes."""
    ends = [*graph.in_edges(name, data=True), *graph.out_edges(name, data=True)]
    return sum({data["value"]: data["bytes"] for _, _, data in cast(Any, ends)}.values())


def add_unfused(
    problem: Problem,
    graph: "nx.DiGraph[str]",
    layer: Layer,
    writes: Mapping[str, Term],
    costs: CostModel,
) -> None:
    """Price the residual Add of a blocked layer as a node where the Add is not blocked too."""
    if not layer.epilogue.residual or writes[layer.name] == NCHW:
        return
    (addition,) = graph.successors(layer.name)
    alone = problem.continuous(costs.pass_over(bytes_moved(graph, addition)))
    require_change(problem, writes[layer.name], writes[addition], alone)


def chosen_where(
    priced: Mapping[str, Sequence[PricedOffer]], holds: Callable[[PricedOffer], bool]
) -> dict[str, Term]:
    """Whether a layer has an offer of which something holds; variables are in order of offers."""
    found: dict[str, Term] = {}
    index = 0
    for layer, options in priced.items():
        found[layer] = Term(tuple(index + i for i, c in enumerate(options) if holds(c)))
        index += len(options)
    return found


def pairs_of(graph: "nx.DiGraph[str]") -> dict[str, tuple[str, str]]:
    """The layers that one op may compute, by the node that it replaces with them."""
    nodes = cast(Any, graph.nodes(data=True))
    return {name: data["pair"] for name, data in nodes if data.get("pair")}


def state_pair(
    problem: Problem, pair: tuple[str, str], saved: float, paired: Mapping[str, Term]
) -> None:
    """Take off what a node costs that goes where both layers of a pair have paired offers."""
    together = problem.continuous(-saved)
    for layer in pair:
        variables = paired[layer].variables
        problem.at_most([together, *variables], [1.0, *[-1.0] * len(variables)], 0.0)


def follow_inputs(problem: Problem, layout: Term, inputs: Sequence[Term]) -> None:
    """A node is blocked exactly where all of its inputs are."""
    (own,) = layout.variables
    for term in inputs:
        problem.at_most([own, *term.variables], [1.0, *[-1.0] * len(term.variables)], term.constant)
    variables = [v for term in inputs for v in term.variables]
    missing = len(inputs) - 1.0 - sum(term.constant for term in inputs)
    problem.at_most([*variables, own], [*[1.0] * len(variables), -1.0], missing)


def add_changes(
    problem: Problem,
    graph: "nx.DiGraph[str]",
    reads: Mapping[str, Term],
    writes: Mapping[str, Term],
    costs: CostModel,
) -> None:
    """A tensor that is written in one layout and read in the other is changed once."""
    readers: dict[tuple[str, str, float], list[str]] = defaultdict(list)
    for source, reader, data in cast(Any, graph.edges(data=True)):
        readers[source, data["value"], data["bytes"]].append(reader)
    for (source, _, size), names in readers.items():
        made = writes[source]
        used = {reads[name] for name in names} - {made}
        if used and made != NCHW:
            back = problem.continuous(costs.from_blocked(size))
            for term in used:
                require_change(problem, made, term, back)
        if used - {NCHW}:
            there = problem.continuous(costs.to_blocked(size))
            for term in used - {NCHW}:
                require_change(problem, term, made, there)


def require_change(problem: Problem, blocked: Term, other: Term, change: int) -> None:
    """Demand ``change`` where the first layout is blocked and the second is not."""
    variables = [*blocked.variables, *other.variables, change]
    factors = [*[1.0] * len(blocked.variables), *[-1.0] * len(other.variables), -1.0]
    problem.at_most(variables, factors, other.constant - blocked.constant)


def reason(
    chosen: PricedOffer,
    answers: Sequence[Answer],
    priced: Sequence[PricedOffer],
    max_bytes: float | None,
) -> str:
    """Why an offer won, in one short sentence."""
    offers = [a for a in answers if isinstance(a, Offer)]
    dense = next(o for o in offers if o.algorithm == DENSE.name)
    if len(offers) == 1:
        return "the only offer"
    best = min(offers, key=lambda offer: offer.microseconds)
    if chosen.offer is best:
        rest = [o for o in offers if o is not best]
        against = min(rest, key=lambda o: o.microseconds) if best is dense else dense
        return (
            f"fastest of {len(offers)} offers: {milliseconds(best)} against "
            f"{milliseconds(against)} {against.algorithm}"
        )
    gain = f"{milliseconds(best)} against {milliseconds(chosen.offer)}"
    allowed = next((c for c in priced if c.offer is best), None)
    if allowed is None and best.error > 0:
        return f"kept: {best.algorithm} would exceed the error budget ({gain})"
    if allowed is not None and chosen.offer is dense and allowed.price >= chosen.price:
        return f"kept: {best.algorithm} gains less than the margin, {allowed.margin:.0%} ({gain})"
    if best.error > chosen.offer.error:
        return f"the error budget is better spent elsewhere than on {best.algorithm} ({gain})"
    cheapest = min(priced, key=lambda c: c.price)
    if max_bytes is not None and cheapest.bytes > chosen.bytes:
        name = cheapest.offer.algorithm
        gain = f"{milliseconds(cheapest.offer)} against {milliseconds(chosen.offer)}"
        kept = "kept: " if chosen.offer is dense else ""
        return f"{kept}the memory limit is better spent elsewhere than on {name} ({gain})"
    if chosen.paired and best.algorithm != chosen.offer.algorithm:
        return f"shares an operator with the layer beside it, unlike {best.algorithm} ({gain})"
    if chosen.offer is dense:
        return (
            f"kept: the layout changes of {best.algorithm} would cost more than it gains ({gain})"
        )
    return f"saves layout changes that {best.algorithm} needs ({gain})"


def milliseconds(offer: Offer) -> str:
    return f"{offer.microseconds / 1000:.2f} ms"


class Quality(NamedTuple):
    """How good predictions are at choosing, over the layers with two or more measured offers.

    ``share`` of the layers whose predicted best is the measured best (1 without such layers);
    ``regret`` is the measured time of the predicted best over that of the measured best, less 1.
    """

    share: float
    regret: float
    layers: int


def quality(answers: Mapping[str, Sequence[Answer]]) -> Quality:
    """Compare what predictions would choose with what measurements would."""
    right, taken, least, count = 0, 0.0, 0.0, 0
    for found in answers.values():
        offers = [b for b in found if isinstance(b, Offer) and b.measured is not None]
        if len(offers) < 2:
            continue
        predicted = min(offers, key=lambda offer: offer.predicted)
        measured = min(offers, key=lambda offer: offer.microseconds)
        count += 1
        right += predicted.microseconds == measured.microseconds
        taken += predicted.microseconds
        least += measured.microseconds
    return Quality(right / count if count else 1.0, taken / least - 1 if least else 0.0, count)
