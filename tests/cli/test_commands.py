"""Every command as a user types it: what it writes, says and returns."""

import json
import re
from pathlib import Path

import numpy as np
import onnx
import platformdirs
import pytest

from models_in_text import normal, proto_of
from sparsepass import profile
from sparsepass.cli import work
from sparsepass.network import plain_session
from sparsepass.plan import Plan
from sparsepass.profile import MachineProfile
from sparsepass.report import Analysis, Report
from sparsepass.runtime.library import target

NET = """
<ir_version: 8, opset_import: ["": 17]>
g (float[N, 32, 14, 14] x) => (float[N, 32, 14, 14] y) {
  [first] a = Conv<pads=[1,1,1,1]>(x, w1)
  r = Relu(a)
  [second] c = Conv<pads=[1,1,1,1]>(r, w2)
  y = Relu(c)
}
"""


@pytest.fixture
def net(tmp_path) -> Path:
    weights = {}
    for position in (1, 2):
        weight = normal(32, 32, 3, 3, seed=position)
        weight[np.random.default_rng(position).random(weight.shape) < 0.95] = 0
        weights[f"w{position}"] = weight
    path = tmp_path / "net.onnx"
    onnx.save(proto_of(NET, **weights), path)
    return path


@pytest.fixture
def optimized(net, run) -> Path:
    target = net.with_name("out.onnx")
    plan = net.with_name("given.json")
    choices = [{"layer": name, "algorithm": "spmm"} for name in ("first", "second")]
    given = {"tool": "test", "machine": "any", "threads": 1, "choices": choices}
    plan.write_text(json.dumps(given))
    code, _, said = run("optimize", net, "-o", target, "--plan", plan, "--no-measure", "-q")
    assert code == 0, said
    return target


def test_optimize_writes_a_model_a_report_json_and_a_plan(net, run):
    paths = [net.with_name(name) for name in ("out.onnx", "r.html", "r.json", "plan.json")]
    out, html, found, plan = paths

    code, said, complaints = run(
        "optimize", net, "-o", out, "--report", html, "--json", found, "--save-plan", plan,
        "--no-measure", "--seed", 3, "--threads", 1,
    )  # fmt: skip

    assert (code, complaints) == (0, "")
    onnx.checker.check_model(out)
    assert html.read_text().startswith("<!doctype html>")
    assert Report.load(found).layers[0].name == "first"
    assert Plan.load(plan).choices == Report.load(found).plan.choices
    assert all(str(path) in said for path in paths)
    assert "first" in said


def test_the_default_output_stands_beside_the_model(net, run):
    code, said, _ = run("optimize", net, "--no-measure", "-q")

    assert code == 0
    assert net.with_name("net.sparse.onnx").exists()
    assert "net.sparse.onnx" in said


@pytest.mark.parametrize(
    "cpu", ["AMD EPYC", "a CPU with a long name that no profile was measured on"]
)
def test_quiet_prints_the_headline_warnings_and_files(cpu, net, run, monkeypatch):
    monkeypatch.setattr(profile, "cpu_name", lambda: cpu)

    _, said, _ = run("optimize", net, "--no-measure", "--quiet")

    lines = [line for line in said.splitlines() if not line.startswith("warning")]
    assert len(lines) == 2
    assert "ms" in lines[0]


def test_a_dry_run_writes_no_model(net, run):
    code, said, _ = run("optimize", net, "--dry-run")

    assert code == 0
    assert "not timed" in said
    assert list(net.parent.iterdir()) == [net]


def test_a_saved_plan_is_replayed(net, optimized, run):
    plan = net.with_name("plan.json")
    run("optimize", net, "--no-measure", "--save-plan", plan, "-q")

    code, _, complaints = run("optimize", net, "--plan", plan, "--no-measure", "-q")

    assert (code, complaints) == (0, "")


def test_samples_shape_transform_and_profile_are_taken(net, run):
    samples, profile = net.with_name("s.npy"), net.with_name("profile.json")
    np.save(samples, normal(8, 32, 14, 14))
    shipped = Path(__file__).parents[2] / "sparsepass" / "profiles" / "x86-64-avx512-1.json"
    MachineProfile.load(shipped).save(profile)

    code, said, complaints = run(
        "optimize", net, "--samples", samples, "--shape", "x:2,32,14,14", "--profile", profile,
        "--image-transform", "scale=1;mean=0;std=1", "--max-error", 0.1, "--dry-run",
    )  # fmt: skip

    assert (code, complaints) == (0, "")
    assert "first" in said


def test_analyze_shows_layers_and_writes_json(net, run):
    found = net.with_name("a.json")

    code, said, _ = run("analyze", net, "--json", found)

    assert code == 0
    assert re.search(r"^first .* 95%", said, re.M)
    assert len(Analysis.load(found).layers) == 2


def test_quiet_analysis_prints_the_headline_and_warnings(net, run):
    _, said, _ = run("analyze", net, "--quiet")

    # A machine of which no profile ships has a warning of its own.
    assert re.fullmatch(r"net.onnx  2 layers, \S+ multiply-adds\n(warning: .*\n)*", said)


def test_explain_reads_a_model_or_a_report(net, run):
    found = net.with_name("r.json")
    run("optimize", net, "--dry-run", "--json", found)

    of_model, of_report = (run("explain", source, "second") for source in (net, found))

    assert of_model == of_report
    assert of_model[0] == 0
    assert "low-rank" in of_model[1]


def test_explain_of_an_unknown_layer_lists_the_layers(net, run):
    code, _, complaints = run("explain", net, "third")

    assert code == 2
    assert "first, second" in complaints


def test_verify_proves_both_ways_to_run_a_file(net, optimized, run):
    code, said, _ = run("verify", net, optimized)

    assert code == 0
    assert re.findall(r"^(.*): outputs equal", said, re.M) == ["with the op library", "without"]


def test_verify_of_another_network_fails_with_exit_code_1(net, run):
    other = net.with_name("other.onnx")
    model = onnx.load(net)
    w1, w2 = model.graph.initializer
    w1.name, w2.name = w2.name, w1.name
    onnx.save(model, other)

    code, said, complaints = run("verify", net, other)

    assert (code, said) == (1, "")
    assert len(complaints.splitlines()) == 1
    assert "outputs differ" in complaints


def test_verify_takes_a_looser_budget(net, run):
    other = net.with_name("other.onnx")
    model = onnx.load(net)
    weight = onnx.numpy_helper.to_array(model.graph.initializer[1]) * np.float32(1.01)
    model.graph.initializer[1].CopyFrom(onnx.numpy_helper.from_array(weight, "w2"))
    onnx.save(model, other)

    strict, loose = (run("verify", net, other, "--max-error", e)[0] for e in (0, 0.02))

    assert (strict, loose) == (1, 0)


def test_bench_prints_markdown_into_a_file(net, optimized, run):
    found = net.with_name("b.json")

    code, said, _ = run("bench", net, optimized, "--seconds", 0.1, "--json", found)

    assert code == 0
    head, rule, plain, ours, *_ = said.splitlines()
    assert head.startswith("| engine ")
    assert set(rule) <= set("| -:")
    assert plain.startswith("| ONNX Runtime ")
    assert ours.startswith("| sparsepass ")
    assert [row["engine"]["name"] for row in json.loads(found.read_text())][:2] == [
        "ONNX Runtime",
        "sparsepass",
    ]


@pytest.mark.parametrize("command", ["verify", "bench", "calibrate"])
def test_an_instruction_set_that_is_not_here_is_one_line(command, net, optimized, run):
    models = () if command == "calibrate" else (net, optimized)

    code, said, complaints = run(command, *models, "--isa", "neon9")

    assert (code, said) == (2, "")
    assert len(complaints.splitlines()) == 1
    assert "give one of baseline" in complaints


def test_a_plan_is_made_verified_and_timed_with_narrower_kernels(net, run):
    made, found = net.with_name("out.onnx"), net.with_name("r.json")
    isa = ("--isa", "baseline")

    steps = [
        run("optimize", net, "-o", made, "--json", found, *isa, "--no-measure"),
        run("verify", net, made, *isa),
        run("bench", net, made, *isa, "--seconds", 0.1),
    ]

    assert [code for code, _, _ in steps] == [0, 0, 0]
    assert Report.load(found).machine.isa == "baseline"
    assert "baseline" in steps[0][1]


def test_a_profile_is_kept_for_the_instruction_set_it_was_measured_with(run, monkeypatch, tmp_path):
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda *_, **__: tmp_path)
    asked: list[str | None] = []

    def measured(threads: int, *, isa: str | None, progress: object) -> MachineProfile:
        asked.append(isa)
        return profile.find(threads, target("baseline"))[0]

    monkeypatch.setattr(work, "measure_profile", measured)

    code, said, _ = run("calibrate", "--isa", "baseline")

    assert (code, asked) == (0, ["baseline"])
    assert profile.cached_path(profile.cpu_name(), "baseline", 1).exists()
    assert "baseline-1.json" in said


def test_inline_leaves_standard_operators_with_constant_weights(optimized, run):
    target = optimized.with_name("inlined.onnx")

    code, _, _ = run("inline", optimized, "-o", target)

    model = onnx.load(target)
    assert code == 0
    assert not model.functions
    assert [node.op_type for node in model.graph.node] == ["Conv", "Relu", "Conv", "Relu"]
    assert {entry.domain for entry in model.opset_import} == {""}
    plain_session(target)


def test_info_names_the_library_and_the_machine(run):
    code, said, _ = run("info")

    assert code == 0
    assert "libsparsepass_ort" in said
    assert "spmm" in said


@pytest.mark.parametrize(
    "command",
    ["optimize", "analyze", "explain", "report", "verify", "bench", "calibrate", "inline", "info"],
)
def test_every_command_has_help(command, run):
    code, said, _ = run(command, "--help")

    assert code == 0
    assert f"sparsepass {command}" in said


def test_the_version_is_printed(run):
    assert re.fullmatch(r"sparsepass \d+\.\d+\.\d+\n", run("--version")[1])


def test_analyze_advises_in_words_json_and_a_page(net, run):
    found, page = net.with_name("a.json"), net.with_name("a.html")

    code, said, _ = run("analyze", net, "--json", found, "--report", page, "--isa", "baseline")

    assert code == 0
    assert "What pruning would be worth" in said
    analysis = Analysis.load(found)
    assert [layer.layer for layer in analysis.advice.layers] == ["first", "second"]
    assert analysis.machine.isa == "baseline"
    assert "Speed-up" in said
    assert "<svg" in page.read_text()


def test_explain_says_what_pruning_a_layer_would_save(net, run):
    code, said, _ = run("explain", net, "second", "--isa", "baseline")

    assert code == 0
    assert "another algorithm wins" in said


def test_several_profiles_are_compared_in_a_dry_run(net, run):
    paths = [net.with_name(name) for name in ("a.json", "b.json")]
    shipped = next(iter(profile.shipped()))
    for path, cpu in zip(paths, ("this", "that"), strict=True):
        shipped.model_copy(update={"cpu": cpu}).save(path)
    profiles = [argument for path in paths for argument in ("--profile", path)]
    found, plan = net.with_name("t.json"), net.with_name("plan.json")

    code, said, _ = run(
        "optimize", net, "--dry-run", *profiles, "--json", found, "--save-plan", plan
    )
    refused, _, complaints = run("optimize", net, *profiles, "--isa", "avx2", "--max-drop", 1)

    assert code == 0
    assert "one file serves all: the plans are the same" in said
    assert json.loads(found.read_text())["kind"] == "targets"
    assert Plan.load(plan).choices
    assert refused == 2
    assert "give --dry-run, and no --max-drop, --isa" in complaints


def test_two_saved_reports_are_compared(net, run):
    before, after = net.with_name("a.json"), net.with_name("b.json")
    page, text = net.with_name("c.html"), net.with_name("c.md")
    run("optimize", net, "--dry-run", "--json", before)
    run("optimize", net, "--dry-run", "--json", after, "--isa", "baseline")

    codes = [run("report", "--compare", before, after, "-o", out)[0] for out in (page, text)]
    again, said, _ = run("report", after, "-o", page)
    wrong, _, complaints = run("report", after, "-o", text)

    assert (codes, again, wrong) == ([0, 0], 0, 2)
    assert "first" in said
    assert text.read_text().startswith("# sparsepass: two reports compared")
    assert page.read_text().startswith("<!doctype html>")
    assert "ends in .html" in complaints
