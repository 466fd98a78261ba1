"""Run the onnx backend test suite through sparsepass and write what became of it into docs/.

``make conformance`` runs it; ``--match`` takes the cases whose name holds a text.
"""

import argparse
import multiprocessing
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path

import onnx
import onnxruntime
from backend_cases import Case, backend_cases
from conform import FAILED, IMPROVED, LOADED, PRUNED, SHIPPED, UNCHANGED, Outcome, outcomes

PAGE = Path(__file__).parents[2] / "docs" / "conformance.md"
SECONDS = 120.0
RESULTS = (IMPROVED, UNCHANGED, FAILED)
OURS = (SHIPPED, LOADED, PRUNED)
# What reasons say of cases that are listed by name.
UNGUESSABLE = "does not run on random numbers"
MARK = "<!-- made by make conformance -->\n"


def run_all(cases: Iterable[Case], jobs: int) -> list[Outcome]:
    """Every case in a process of its own, ``jobs`` at a time; a crash is an outcome too."""
    fork = multiprocessing.get_context("fork")
    waiting, found = iter(cases), []
    running: dict[Connection, tuple[Case, multiprocessing.Process, float]] = {}
    while True:
        while len(running) < jobs and (case := next(waiting, None)) is not None:
            receiver, sender = fork.Pipe(duplex=False)
            process = fork.Process(target=work, args=(case, sender), daemon=True)
            process.start()
            sender.close()
            running[receiver] = (case, process, time.monotonic())
        if not running:
            return found
        ready = wait(list(running), timeout=1.0)
        for receiver, (case, process, started) in list(running.items()):
            if receiver in ready:
                found += received(case, receiver)
            elif time.monotonic() - started > SECONDS:
                process.kill()
                found.append(Outcome(case.name, SHIPPED, FAILED, f"more than {SECONDS:.0f} s"))
            else:
                continue
            process.join()
            del running[receiver]


def work(case: Case, sender: Connection) -> None:
    sender.send(list(outcomes(case)))


def received(case: Case, receiver: Connection) -> list[Outcome]:
    try:
        return receiver.recv()
    except EOFError:
        return [Outcome(case.name, SHIPPED, FAILED, "the process crashed")]


def page(found: Sequence[Outcome]) -> str:
    """The outcomes as Markdown: counts of each part, then each reason and each failure."""
    parts = [*OURS, *sorted({outcome.part for outcome in found} - {*OURS})]
    lines = [f"| cases | {' | '.join(RESULTS)} |", "|---" * (len(RESULTS) + 1) + "|"]
    for part in parts:
        counts = Counter(outcome.result for outcome in found if outcome.part == part)
        lines.append(f"| {part} | {' | '.join(str(counts[result]) for result in RESULTS)} |")
    offered = {o.case for o in found if o.result == IMPROVED}
    lines += ["", f"Our operators computed {len(offered)} of the {PRUNED} cases."]
    for part in OURS:
        reasons = defaultdict[str, list[str]](list)
        for one in found:
            if one.part == part and one.result == UNCHANGED:
                reasons[one.reason].append(one.case)
        lines += ["", f"Why {part} cases are unchanged:", ""]
        lines += [
            f"- {len(names)}: {reason}{named(reason, names)}"
            for reason, names in sorted(reasons.items(), key=lambda item: -len(item[1]))
        ]
    failed = [o for o in found if o.result == FAILED]
    lines += ["", "Failed:", "", *(f"- {o.case} ({o.part}): {o.reason}" for o in failed)]
    return "\n".join(lines if failed else lines[:-3]) + "\n"


def named(reason: str, names: Sequence[str]) -> str:
    """The names of the cases whose inputs no random numbers can stand for."""
    return f": {', '.join(sorted(names))}" if UNGUESSABLE in reason else ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--match", default="", help="part of a name")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--write", action="store_true", help="write the counts into docs/")
    arguments = parser.parse_args()
    cases = [case for case in backend_cases() if arguments.match in case.name]
    found = run_all(cases, arguments.jobs)
    text = page(found)
    print(text)
    if arguments.write:
        head, mark, _ = PAGE.read_text(encoding="utf-8").partition(MARK)
        PAGE.write_text(f"{head}{mark}\n{about()}\n\n{text}", encoding="utf-8")
    sys.exit(any(outcome.result == FAILED for outcome in found))


def about() -> str:
    """What was run."""
    return f"onnx {onnx.__version__}, onnxruntime {onnxruntime.__version__}:"


if __name__ == "__main__":
    main()
