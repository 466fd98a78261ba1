"""The statistics of a layer as (label, value) pairs, for every face of the report."""

from collections.abc import Mapping, Sequence

from sparsepass.advice import Advice, LayerAdvice
from sparsepass.plan import Tiling
from sparsepass.report import units
from sparsepass.report.schema import (
    Bought,
    ErrorBudget,
    LossyOption,
    NetworkTime,
    PairedAnswers,
    StageTime,
)
from sparsepass.sparsity import ActivationStats, WeightStats

__all__ = [
    "Facts",
    "advice_facts",
    "advice_notes",
    "answers_fact",
    "batch_fact",
    "bought_facts",
    "budget_fact",
    "certainty_fact",
    "first_answer_fact",
    "input_facts",
    "stages_fact",
    "weight_facts",
    "workspace_facts",
]

Facts = tuple[tuple[str, str], ...]


def weight_facts(weight: WeightStats) -> Facts:
    """Where the weight is sparse."""
    return (
        ("zeros", units.percent(1 - weight.density)),
        ("empty filters", str(weight.empty_filters)),
        ("empty channels", str(weight.empty_channels)),
        ("row balance", f"{weight.row_balance:.2f}"),
        ("kernel patterns", str(weight.patterns)),
        *((f"fit {name}", units.percent(share)) for name, share in weight.nm.items()),
        *((f"{name} fill", units.percent(fill)) for name, fill in weight.blocks.items()),
        *((f"{name}% energy", f"rank {rank}") for name, rank in weight.rank_energy.items()),
    )


def input_facts(stats: ActivationStats) -> Facts:
    """Where the input is sparse, over the samples."""
    return (
        ("zeros", units.percent(stats.zeros_mean)),
        ("p10 to p90", f"{units.percent(stats.zeros_p10)} to {units.percent(stats.zeros_p90)}"),
        ("dead channels", units.percent(stats.dead_channels)),
        ("dense groups", units.percent(stats.dense_groups)),
        ("empty groups", units.percent(stats.empty_groups)),
        ("samples", str(stats.samples)),
    )


def workspace_facts(workspace_bytes: Mapping[str, int]) -> Facts:
    """Memory to unfold or encode the input, and how many times less than the first one named."""
    first = next(iter(workspace_bytes.values()), 0)
    return tuple(
        (name, units.size(size) + (f", {units.factor(first / size)} less" if size < first else ""))
        for name, size in workspace_bytes.items()
        if size
    )


def advice_facts(advice: LayerAdvice) -> Facts:
    """What pruning a layer would be worth."""
    facts = [
        ("another algorithm wins", from_zeros(advice.pays_from)),
        ("more saves little", from_zeros(advice.enough_at)),
        *((f"saves with {zeros}", saving(us)) for zeros, us in advice.savings_us.items()),
        ("its weight zeros are worth", saving(advice.weight_zeros_us)),
    ]
    if advice.input_zeros_us is not None:
        facts.append(("its input's zeros are worth", saving(advice.input_zeros_us)))
    return tuple(facts)


def from_zeros(share: float | None) -> str:
    return "never" if share is None else f"from {share:.0%} zeros on"


def saving(microseconds: float) -> str:
    return f"{units.microseconds(microseconds)} us" if microseconds > 0 else "nothing"


def advice_notes(advice: Advice) -> tuple[str, ...]:
    """What the numbers of the advice mean, and what they leave out."""
    rest = units.percent(advice.rest_us / advice.now_us if advice.now_us > 0 else 0.0)
    return (
        f"Predicted by the prices of {advice.profile}; nothing was run. Weights are pruned by "
        "magnitude, each layer by itself; accuracy is yours to measure.",
        "Of one layer: what the whole network would take less while the other layers keep their "
        "algorithms, layout changes included. Of several: two plans of the whole network.",
        "Kernels gain from how many weights are zero, hardly from a regular pattern: 2:4 is worth "
        "what 50 % of zeros are, 1:4 what 75 % are.",
        f"Operators that belong to no layer count as passes over their data ({rest} of the time "
        "now).",
    )


def batch_fact(tiling: Tiling | None) -> str:
    """How many images go through the network together; empty where the whole batch does."""
    if tiling is None:
        return ""
    group = "one image" if tiling.micro_batch == 1 else f"{tiling.micro_batch} images"
    end = f" up to {units.printable(tiling.until)}" if tiling.until else ""
    return f"{group} at a time{end}"


def stages_fact(stages: Sequence[StageTime]) -> str:
    """Where the time of the run itself went, the longest first; empty where nobody looked."""
    longest = sorted(stages, key=lambda stage: -stage.seconds)
    return ", ".join(f"{one.stage} {one.seconds:.2g} s" for one in longest if one.seconds >= 0.005)


def certainty_fact(share: float) -> str:
    """How sure it is that the chosen offer is the fastest."""
    return f"in {units.percent(share)} of the turns faster than the best other offer"


def first_answer_fact(network: NetworkTime) -> str:
    """How long a new session takes until its first outputs; empty where that was not measured."""
    if network.first_before_ms is None or network.first_after_ms is None:
        return ""
    before, after = map(units.milliseconds, (network.first_before_ms, network.first_after_ms))
    return f"first answer of a new session {before} -> {after}"


def answers_fact(answers: PairedAnswers) -> str:
    """How many right answers were lost, and how sure that is."""
    against = "the labels" if answers.against == "labels" else "the original"
    counted = (
        f"top-1 drop {units.points(answers.drop_points)}, "
        f"standard error {answers.standard_error_points:.2g} "
        f"({answers.lost} lost, {answers.gained} gained of {answers.images} against {against})"
    )
    if answers.expected is None:
        return counted
    return (
        f"{counted}; expected by the original's probabilities "
        f"{units.points(answers.expected.points)}, standard error "
        f"{answers.expected.standard_error_points:.2g}"
    )


def budget_fact(budget: ErrorBudget, answers: PairedAnswers | None) -> str:
    """What was taken of what is allowed."""
    spent = budget.predicted if budget.measured is None else budget.measured
    parts: list[str] = []
    if budget.max_error:
        parts.append(f"error {units.error(spent)} of {units.error(budget.max_error)}")
    if budget.max_drop_points is not None:
        drop = "-" if answers is None else f"{answers.judged[0]:.2g}"
        parts.append(f"drop {drop} of {units.points(budget.max_drop_points)}")
    return ", ".join(parts)


def bought_facts(bought: Bought) -> Facts:
    """The setting of a lossy layer, and its neighbours in time and error."""
    rows = (("taken", bought.taken), ("cheaper", bought.cheaper), ("dearer", bought.dearer))
    return tuple((label, option_fact(option)) for label, option in rows if option is not None)


def option_fact(option: LossyOption) -> str:
    """A setting, its time, and what it does to the layer and to the outputs."""
    setting = " ".join(filter(None, [option.algorithm, units.parameters(option.parameters)]))
    return (
        f"{setting}, {units.microseconds(option.microseconds)} us, error "
        f"{units.error(option.layer_error)} of the layer, {units.error(option.output_error)} of "
        "the outputs"
    )
