"""Verbs that look: at the catalogue, at anyone's attention, at data, at runs, at this machine."""

import json
import tomllib
from pathlib import Path

import pytest

import attnkit
from attnkit.kernels import native
from attnkit.run import doctor
from tests.verbs.calling import SMALL, attn, review_csv, small_train

OWN = """
import torch

def right(q, k, v, where):
    scores = (q @ k.transpose(-1, -2)) / q.shape[-1] ** 0.5
    kept = torch.ones(k.shape[0], k.shape[2], dtype=torch.bool) if where.keep is None else where.keep
    kept = kept[:, None, None].expand_as(scores)
    weights = scores.masked_fill(~kept, -1e30).softmax(-1)
    return weights.masked_fill(~kept, 0.0) @ v

def wrong(q, k, v, where):
    return (q @ k.transpose(-1, -2)).softmax(-1) @ v

def call(fn, q, k, v, where):
    return fn(q, k, v, where)

def spread(scores):
    return torch.nan_to_num(scores.softmax(-1), nan=0.0)

def half(scores):
    return scores.softmax(-1) / 2

def doubled(fn, scores, allowed):
    hidden = scores if allowed is None else scores.masked_fill(~allowed, float("-inf"))
    return 2 * torch.nan_to_num(fn(hidden), nan=0.0)
"""


def test_list_finds_by_words() -> None:
    every = json.loads(attn("list", "--json").out)
    assert [line["name"] for line in every] == list(attnkit.CATALOGUE)
    some = json.loads(attn("list", "window", "--causal", "--json").out)
    assert some and all(line["causal"] for line in some)
    assert {line["name"] for line in some} < {line["name"] for line in every}
    assert "Bahdanau, Cho and Bengio" in attn("list", "BAHDANAU").out
    assert "No operator" in attn("list", "nosuchthing").fault


def test_describe_holds_formula_source_cost_and_picture() -> None:
    shown = attn("describe", "window").out
    for said in ("exp(", "Source:", "Cost:", "claims:", "who meets whom"):
        assert said in shown
    told = json.loads(attn("describe", "bahdanau", "--json").out)
    assert told["operator"]["score"]["type"] == "Additive" and len(told["picture"]) == 8


def test_laws_of_our_own_and_of_a_stranger(here: Path) -> None:
    (here / "strange_attention.py").write_text(OWN)
    assert "every law that applies holds" in attn("laws", "vaswani").out
    right = attn("laws", "strange_attention:right", "--claim", "rows-sum-to-one", "--claim", "nonnegative")
    assert right.code == 0, right.out
    wrong = attn("laws", "strange_attention:wrong", "--call", "strange_attention:call", "--json")
    assert "laws" in wrong.fault
    told = json.loads(wrong.out)
    failed = {law["law"] for law in told["laws"] if law["status"] == "failed"}
    assert not told["ok"] and "padding is inert" in failed
    assert attn("laws", "strange_attention:right", "--claim", "causal").code == 1
    assert attn("laws", "strange_attention:spread", "--normalizer").code == 0
    assert "breaks" in attn("laws", "strange_attention:half", "--normalizer").fault
    assert attn("laws", "strange_attention:half", "--normalizer", "--call", "strange_attention:doubled").code == 0
    assert "right" in attn("laws", "strange_attention:rihgt").fault


def test_a_module_that_fails_is_named(here: Path) -> None:
    (here / "failing_attention.py").write_text("1 / 0\n")
    assert "ZeroDivisionError" in attn("laws", "failing_attention:f").fault


def test_check_counts_and_finds(here: Path) -> None:
    (here / "d.csv").write_text(review_csv(40) + ",good\n")
    shown = attn("check", "d.csv", "--max-tokens", "4")
    assert shown.code == 0, shown.err
    assert "Nothing keeps training" in shown.out and "empty text" in shown.out and "cut to 4 tokens" in shown.out
    told = json.loads(attn("check", "d.csv", "--json").out)
    assert told["sound"] and told["splits"][0]["rows"] == 41
    assert told["splits"][0]["labels"] == {"bad": 20, "good": 21}
    (here / "e.csv").write_text("text,label\n" + "a b,x\nc d,\n" * 3)
    bad = attn("check", "e.csv", "--label", "label", "--json")
    assert bad.code == 1 and "e.csv" in bad.fault and not json.loads(bad.out)["sound"]


def test_check_counts_tokens_of_chinese_as_characters(here: Path) -> None:
    (here / "d.csv").write_text("text,label\n" + "这部电影很好看,好\n太长太无聊,坏\n" * 4)
    told = json.loads(attn("check", "d.csv", "--json").out)
    assert told["tokenizer"] == "chars" and told["splits"][0]["longest_tokens"] == 7


def test_init_writes_what_training_would_use(trained: Path, here: Path) -> None:
    data = trained / "reviews.csv"
    words = [piece for field in SMALL for piece in ("--set", field)]
    ended = attn("init", data, *words)
    assert ended.code == 0, ended.err
    text = (here / "recipe.toml").read_text()
    wrote, used = (attnkit.load_recipe(path) for path in (here / "recipe.toml", trained / "run" / "recipe.toml"))
    assert wrote.model == used.model and wrote.train == used.train and wrote.tokens == used.tokens
    assert '"auto"' not in text
    assert "# chosen: The text is the column 'text' (by its name)." in text
    assert wrote.data.label == "label" and wrote.data.text == ("text",)
    before = text
    assert "--force" in attn("init", data).fault
    assert (here / "recipe.toml").read_text() == before
    assert attn("init", data, "--force", "--encoder", "cnn").code == 0
    assert attnkit.load_recipe(here / "recipe.toml").model.encoder == "cnn"
    assert attn("train", "--recipe", "recipe.toml", "--out", "run", "--epochs", "1").code == 0


def test_runs_are_listed_oldest_first_with_their_figures(here: Path) -> None:
    (here / "d.csv").write_text(review_csv(40))
    for name in ("b", "a"):
        assert small_train("d.csv", "--out", here / "runs" / name).code == 0
    told = json.loads(attn("runs", "--json").out)
    assert [Path(line["path"]).name for line in told] == ["b", "a"]
    figure = attnkit.Run.open(here / "runs" / "a").metrics["test"]["accuracy"]
    assert (told[1]["value"], told[1]["low"]) == (figure["value"], figure["low"])
    assert f"{figure['value']:.4f}" in attn("runs").out
    (here / "empty").mkdir()
    assert "holds no run" in attn("runs", "empty").out


def test_info_says_what_anything_is(trained: Path, here: Path) -> None:
    run = trained / "run"
    shown = attn("info", run).out
    assert "finished run" in shown and "still stands there, unchanged" in shown and "attn evaluate" in shown
    assert json.loads(attn("info", run / "recipe.toml", "--json").out)["kind"] == "recipe"
    assert json.loads(attn("info", run / "model" / "weights.safetensors", "--json").out)["kind"] == "weights"
    assert "120 rows" in attn("info", trained / "reviews.csv").out
    (here / "own_operator.py").write_text("raise SystemExit('it ran')\n")
    (here / "own.toml").write_text('[model]\npooling = "own_operator:Mine"\n')
    assert "--allow-code" in attn("info", "own.toml").fault
    assert "--allow-code" in attn("train", trained / "reviews.csv", "--recipe", "own.toml", "--attention", "t5").fault
    (here / "run.partial").mkdir()
    assert "no step yet" in attn("info", "run.partial").out
    assert "unfinished" in attn("info", "run").fault


def test_info_notices_that_the_data_changed(here: Path) -> None:
    (here / "d.csv").write_text(review_csv(40))
    assert small_train("d.csv", "--out", "run").code == 0
    (here / "d.csv").write_text(review_csv(41))
    assert "changed since" in attn("info", "run").out
    assert "changed since" in attn("evaluate", "run").fault
    (here / "d.csv").unlink()
    assert "no longer stands" in attn("info", "run").out


def test_doctor_is_content_here(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = attn("doctor", "--json")
    told = {finding["name"]: finding for finding in json.loads(shown.out)["findings"]}
    assert told["kernel sdpa"]["state"] == "ok" and told["python"]["state"] == "ok"
    assert {f"extra {name}" for name in doctor.EXTRAS} < told.keys()


def test_doctor_names_what_is_wrong_and_what_to_do(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "torchvision.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')\n")
    monkeypatch.syspath_prepend(str(here))
    monkeypatch.setattr("torch.get_num_threads", lambda: 999)
    monkeypatch.setattr("attnkit.kernels.sdpa.SDPA.run", lambda kernel, spec, call: call.q_BHTD * 0 + 1)
    ended = attn("doctor")
    assert ended.code == 1
    assert "pip uninstall torchvision" in ended.out and "OMP_NUM_THREADS" in ended.out
    assert "kernel='reference'" in ended.out
    assert "torchvision" in ended.fault and "cores" in ended.fault and "kernel sdpa" in ended.fault


def test_doctor_says_whether_the_native_loops_are_active_and_what_it_costs_where_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def told() -> doctor.Finding:
        return next(finding for finding in doctor.examine() if finding.name == "native loops")

    with native.without_native():
        assert told().state == doctor.ABSENT and "without_native" in told().seen and "times as long" in told().seen
    if native.library() is None:
        pytest.skip(f"native loops: {native.reason()}")
    assert told().state == doctor.OK and str(native.level()) in told().seen
    monkeypatch.setattr(
        "attnkit.kernels.rows.thresholds.weigh_", lambda loop, x: bool(native.library() and x.zero_() is x)
    )
    assert told().state == doctor.PROBLEM and "ATTNKIT_NATIVE=0" in told().todo


def test_doctor_knows_the_extras_of_the_project() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    extras = {name: wanted for name, wanted in project["optional-dependencies"].items() if name != "dev"}
    bare = {name: tuple(one.split(">")[0].split("=")[0] for one in wanted) for name, wanted in extras.items()}
    assert bare == doctor.EXTRAS
    core = {one.split(">")[0] for one in project["dependencies"]} - {"torch"}
    assert core == set(doctor.CORE)
