"""From a data file to predictions by commands alone: what is said, what is written, and that the figures agree."""

import csv
import gzip
import io
import json
from pathlib import Path

import pytest

import attnkit
from tests.verbs.calling import attn, listing, review_csv, review_rows, small_train

TEXTS = ["a lovely film", "the plot was awful", "nothing known here"]


def test_train_says_what_it_inferred_chose_and_found(here: Path) -> None:
    (here / "d.csv").write_text(review_csv(80) + review_csv(2).partition("\n")[2])
    ended = small_train("d.csv", "--out", "run", "--baselines", "--seed", "3", "--class-weights")
    assert ended.code == 0, ended.err
    run = attnkit.Run.open("run")
    measured = run.metrics["test"]["accuracy"]
    for said in (
        "The text is the column 'text'",
        "The label is the column 'label'",
        "repeat an earlier row",
        "tokens.tokenizer = word",
        "epoch 1: validation loss",
        "Measured on the test rows",
        f"{measured['value']:.4f} [{measured['low']:.4f}, {measured['high']:.4f}]",
        "majority",
        "nb svm",
        'attn predict run "..."',
        "attn evaluate run",
    ):
        assert said in ended.out, said
    assert run.recipe.train.seed == 3 and run.recipe.train.class_weights and run.recipe.evaluate.baselines
    assert "\x1b" not in ended.out and "━" not in ended.out


def test_train_as_json_is_one_document(here: Path) -> None:
    (here / "d.csv").write_text(review_csv(60))
    ended = small_train("d.csv", "--json")
    told = json.loads(ended.out)
    assert not ended.err
    assert told["test"] == attnkit.Run.open(told["run"]).metrics["test"]
    assert Path(told["run"]).parent == Path("runs")


def test_named_operator_goes_where_the_encoder_uses_it(here: Path) -> None:
    (here / "d.csv").write_text(review_csv(40))
    assert small_train("d.csv", "--out", "a", "--attention", "luong-general").code == 0
    assert attnkit.Run.open("a").recipe.model.pooling == "luong-general"
    words = ["--encoder", "transformer", "--attention", "alibi", "--set", "heads=2"]
    assert small_train("d.csv", "--out", "b", *words).code == 0
    model = attnkit.Run.open("b").recipe.model
    assert (model.attention, model.pooling) == ("alibi", "bahdanau")


def test_folds(here: Path) -> None:
    (here / "d.csv").write_text(review_csv(60))
    ended = small_train("d.csv", "--out", "run", "--folds", "2")
    assert "fold 2 of 2" in ended.out and "over the folds: mean" in ended.out
    assert len(attnkit.Run.open("run").metrics["folds"]["measures"]) == 2


def test_a_run_is_done_again_from_its_recipe(trained: Path, here: Path) -> None:
    ended = attn("train", "--recipe", trained / "run" / "recipe.toml", "--out", "again")
    assert ended.code == 0, ended.err
    first, second = (path / "model" / "weights.safetensors" for path in (trained / "run", here / "again"))
    assert first.read_bytes() == second.read_bytes()


def test_evaluate_finds_the_figures_of_the_run(trained: Path, here: Path) -> None:
    run = trained / "run"
    told = json.loads(attn("evaluate", run, "--json").out)
    metrics = attnkit.Run.open(run).metrics
    assert told["measures"] == metrics["test"] and told["confusion"] == metrics["confusion"]
    shown = attn("evaluate", run).out
    assert "class" in shown and "bad" in shown and f"{told['measures']['accuracy']['value']:.4f}" in shown
    other = here / "other.csv"
    other.write_text(review_csv(30, seed=9))
    assert json.loads(attn("evaluate", run, other, "--json").out)["measures"]["accuracy"]["n"] == 30


def test_predict_words_stdin_and_python_agree(trained: Path) -> None:
    run = trained / "run"
    wanted = attnkit.load(run).predict(TEXTS)
    told = json.loads(attn("predict", run, *TEXTS, "--json").out)
    assert [one["prediction"] for one in told] == [one.label for one in wanted]
    assert [one["probability"] for one in told] == [one.probability for one in wanted]
    lines = attn("predict", run, *TEXTS).out.splitlines()
    assert lines == [f"{p.label}\t{p.probability:.4f}\t{text}" for p, text in zip(wanted, TEXTS, strict=True)]
    assert attn("predict", run, stdin="\n".join(TEXTS).encode()).out.splitlines() == lines
    every = attn("predict", run, TEXTS[0], "--probabilities").out
    assert all(f"{value:.4f}  {name}" in every for name, value in wanted[0].probabilities.items())


def test_where_shows_the_text_itself_and_its_weights(trained: Path) -> None:
    run, text = trained / "run", "The LOVELY film, zyx!"
    shown = attn("predict", run, text, "--where").out
    assert f"\n  {text}\n" in shown
    told = json.loads(attn("predict", run, text, "--where", "--json").out)[0]["where"]
    assert [piece for piece, _ in told] == ["The", "LOVELY", "film", ",", "zyx", "!"]
    weights = attnkit.load(run).attention(text).weights
    assert [weight for _, weight in told] == weights
    assert sum(weights) == pytest.approx(1, abs=1e-5)
    heaviest = max(told, key=lambda entry: entry[1])
    assert f"looked at: {heaviest[0]} {100 * heaviest[1]:.0f} %" in shown


def rows_of(name: str, text: str) -> list[dict[str, object]]:
    """The rows of a written file."""
    if name.endswith((".csv", ".tsv")):
        return list(csv.DictReader(io.StringIO(text), delimiter="," if name.endswith(".csv") else "\t"))
    return [json.loads(line) for line in text.splitlines()] if ".jsonl" in name else json.loads(text)


@pytest.mark.parametrize("name", ["in.csv", "in.tsv", "in.jsonl", "in.json", "in.jsonl.gz"])
def test_a_file_keeps_its_kind_and_gains_columns(name: str, trained: Path, here: Path) -> None:
    rows = [{"id": str(number), "text": text} for number, (text, _) in enumerate(review_rows(7, seed=4))]
    rows[3]["text"] = 'with "quotes", commas\nand a line'
    held = io.StringIO()
    if name.endswith((".csv", ".tsv")):
        writer = csv.DictWriter(held, ["id", "text"], delimiter="," if name.endswith(".csv") else "\t")
        writer.writeheader()
        writer.writerows(rows)
    else:
        held.write(json.dumps(rows) if name.endswith(".json") else "".join(json.dumps(row) + "\n" for row in rows))
    raw = held.getvalue().encode()
    (here / name).write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    before = listing(here)
    out = here / f"out{name[2:]}"
    ended = attn("predict", trained / "run", "--file", name, "--out", out, "--probabilities")
    assert ended.code == 0, ended.err
    written = out.read_bytes()
    got = rows_of(name, (gzip.decompress(written) if name.endswith(".gz") else written).decode())
    wanted = attnkit.load(trained / "run").predict([row["text"] for row in rows])
    assert [{"id": row["id"], "text": row["text"]} for row in got] == rows
    assert [row["prediction"] for row in got] == [one.label for one in wanted]
    assert [float(str(row["probability"])) for row in got] == pytest.approx(
        [one.probability for one in wanted], rel=1e-4
    )
    sums = [float(str(row["probability:bad"])) + float(str(row["probability:good"])) for row in got]
    assert sums == pytest.approx([1] * len(sums), abs=1e-4)
    out.unlink()
    assert listing(here) == before


def test_numbers_of_the_file_are_written_whole(trained: Path, here: Path) -> None:
    (here / "in.jsonl").write_text(json.dumps({"text": TEXTS[0], "views": 1234567.125}) + "\n")
    assert attn("predict", trained / "run", "--file", "in.jsonl", "--out", "out.csv").code == 0
    assert rows_of("out.csv", (here / "out.csv").read_text())[0]["views"] == "1234567.125"


def test_lines_of_a_text_file(trained: Path, here: Path) -> None:
    (here / "in.txt").write_text("\n".join(TEXTS) + "\n")
    wanted = attnkit.load(trained / "run").predict(TEXTS)
    told = attn("predict", trained / "run", "--file", "in.txt").out
    assert [line.split("\t")[:2] for line in told.splitlines()] == [
        [text, one.label] for text, one in zip(TEXTS, wanted, strict=True)
    ]


def test_pairs_need_both_texts(here: Path) -> None:
    rows = [
        (f"{text}\t{'same' if number % 2 else text}", label) for number, (text, label) in enumerate(review_rows(60))
    ]
    (here / "d.tsv").write_text("text_a\ttext_b\tlabel\n" + "".join(f"{pair}\t{label}\n" for pair, label in rows))
    assert small_train("d.tsv", "--out", "run").code == 0
    assert len(attn("predict", "run", "a lovely film\tit is good").out.splitlines()) == 1
    assert "tab" in attn("predict", "run", "a lovely film").fault
    told = attn("predict", "run", "--file", "d.tsv")
    assert told.code == 0 and told.out.splitlines()[0] == "text_a\ttext_b\tlabel\tprediction\tprobability"


def test_scores_and_sets_of_labels(here: Path) -> None:
    (here / "s.csv").write_text(
        "text,score\n" + "".join(f"{t},{n % 5 + 0.5}\n" for n, (t, _) in enumerate(review_rows(60)))
    )
    assert small_train("s.csv", "--out", "s", "--kind", "score").code == 0
    assert float(attn("predict", "s", "a film").out.split("\t")[0]) == pytest.approx(
        attnkit.load("s").predict(["a film"])[0].label, rel=1e-3
    )
    sets = [
        {"text": text, "tags": [label, "film"] if n % 3 else [label]} for n, (text, label) in enumerate(review_rows(60))
    ]
    (here / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in sets))
    assert small_train("m.jsonl", "--out", "m").code == 0
    told = json.loads(attn("predict", "m", "a film", "--json").out)[0]
    assert tuple(told["prediction"]) == attnkit.load("m").predict(["a film"])[0].label


def test_a_stopped_run_goes_on(trained: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from attnkit.train.loop import Loop

    (here / "d.csv").write_text(review_csv(80))
    step = Loop._step

    def stopping(loop: Loop, numbers: list[int]) -> None:
        step(loop, numbers)
        if loop.at.step == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Loop, "_step", stopping)
    ended = small_train("d.csv", "--out", "run", "--epochs", "3")
    assert ended.code in {1, 130} and ended.err.count("\n") == 1 and "Ctrl-C" in ended.err
    monkeypatch.undo()
    monkeypatch.chdir(here)
    assert not (here / "run").exists() and (here / "run.partial").is_dir()
    assert "unfinished run" in attn("info", "run.partial").out
    assert "unfinished" in attn("runs", here).out
    assert "--resume" in attn("predict", "run", "x").fault
    again = small_train("d.csv", "--out", "run", "--epochs", "3", "--resume")
    assert again.code == 0, again.err
    whole = small_train("d.csv", "--out", "whole", "--epochs", "3")
    assert whole.code == 0
    first, second = ((here / name / "model" / "weights.safetensors").read_bytes() for name in ("run", "whole"))
    assert first == second
