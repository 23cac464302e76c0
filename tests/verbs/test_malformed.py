"""Whatever is wrong with what it is given, attn says one sentence, ends with 1 or 2, and leaves nothing behind."""

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.verbs.calling import attn, listing, review_csv, small_train

GOOD = review_csv(40)
Case = tuple[str, Callable[[Path], None], list[str], str]


def content(name: str, text: str | bytes) -> Callable[[Path], None]:
    """Puts one file into the folder."""
    raw = text.encode("utf-8") if isinstance(text, str) else text

    def put(folder: Path) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(raw)

    return put


def nothing(folder: Path) -> None:
    """Leaves the folder empty."""


def good(folder: Path) -> None:
    """A sound data file."""
    content("d.csv", GOOD)(folder)


def recipe(text: str) -> Callable[[Path], None]:
    """A sound data file beside a recipe."""

    def put(folder: Path) -> None:
        good(folder)
        content("r.toml", text)(folder)

    return put


DATA: list[Case] = [
    ("no such file", nothing, ["d.csv"], "no file"),
    ("empty file", content("d.csv", ""), ["d.csv"], "empty"),
    ("blank lines alone", content("d.csv", "\n\n\n"), ["d.csv"], "empty"),
    ("header alone", content("d.csv", "text,label\n"), ["d.csv"], "no rows"),
    ("no header", content("d.csv", "1,2\n3,4\n5,6\n"), ["d.csv"], "column names"),
    ("ragged row", content("d.csv", "text,label\na b,x\nc,d,e\n"), ["d.csv"], ":3"),
    ("open quote", content("d.csv", 'text,label\n"a b,x\nc,d\n'), ["d.csv"], ":2"),
    ("column twice", content("d.csv", "text,text\na,b\n"), ["d.csv"], "twice"),
    ("latin-1", content("d.csv", GOOD.encode() + "été,good\n".encode("latin-1")), ["d.csv"], "UTF-8"),
    ("utf-16", content("d.csv", GOOD.encode("utf-16")), ["d.csv"], "UTF-16"),
    ("NUL byte", content("d.csv", GOOD.replace("film", "fi\0lm", 1)), ["d.csv"], "NUL"),
    ("a picture", content("d.csv", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"), ["d.csv"], "d.csv"),
    ("a zip", content("d.csv", b"PK\x03\x04aaaa"), ["d.csv"], "zip"),
    ("named .gz and plain", content("d.csv.gz", GOOD), ["d.csv.gz"], "gzip"),
    ("gzip cut short", content("d.csv.gz", gzip.compress(GOOD.encode())[:60]), ["d.csv.gz"], "gzip"),
    ("unknown ending", content("d.xyz", GOOD), ["d.xyz"], "ending"),
    ("json that is none", content("d.jsonl", '{"text": "a", "label": \n'), ["d.jsonl"], ":1"),
    ("json of numbers", content("d.jsonl", "1\n2\n"), ["d.jsonl"], "object"),
    ("json key twice", content("d.jsonl", '{"text": "a", "text": "b"}\n'), ["d.jsonl"], "twice"),
    ("json nested too deeply", content("d.jsonl", "[" * 100_000), ["d.jsonl"], "d.jsonl"),
    ("parquet that is none", content("d.parquet", b"PAR1aaaaPAR1"), ["d.parquet"], "d.parquet"),
    ("one column", content("d.csv", "text\na b\nc d\ne f\n"), ["d.csv"], "label"),
    ("one class", content("d.csv", "text,label\n" + "".join(f"w{n} x y,a\n" for n in range(30))), ["d.csv"], "class"),
    ("one row", content("d.csv", "text,label\na b c,x\n"), ["d.csv"], ""),
    ("two rows", content("d.csv", "text,label\na b c,x\nd e f,y\n"), ["d.csv"], ""),
    ("labels missing", content("d.csv", GOOD + "some text here,\n" * 3), ["d.csv"], "label"),
    ("texts all empty", content("d.csv", "text,label\n" + ",a\n,b\n" * 20), ["d.csv", "--text", "text"], "text"),
    (
        "a word among scores",
        content("d.csv", "text,y\n" + "a b,1.5\nc d,2.5\n" * 9 + "e f,high\n"),
        ["d.csv", "--kind", "score"],
        "",
    ),
    ("a folder of nothing", lambda folder: (folder / "d").mkdir(), ["d"], "d"),
    ("train split unlabeled", content("d/train.csv", "text\na b\nc d\n"), ["d"], "label"),
    ("a test split alone", content("d/test.csv", GOOD), ["d"], "train"),
    ("no such text column", good, ["d.csv", "--text", "txt"], "text"),
    ("no such label column", good, ["d.csv", "--label", "lable"], "label"),
    ("one column twice", good, ["d.csv", "--text", "text", "--label", "text"], "two roles"),
    ("a pair without its first", good, ["d.csv", "--pair", "label"], "--text"),
    ("a device for data", nothing, ["/dev/null"], "/dev/null"),
]
RECIPES: list[Case] = [
    ("no such recipe", good, ["d.csv", "--recipe", "r.toml"], "r.toml"),
    ("not TOML", recipe("[train\nepochs = 1"), ["d.csv", "--recipe", "r.toml"], "TOML"),
    (
        "not UTF-8",
        lambda folder: [good(folder), content("r.toml", b"\xff\xfe\x00")(folder)],
        ["d.csv", "--recipe", "r.toml"],
        "UTF-8",
    ),
    ("unknown section", recipe("[trian]\nepochs = 1"), ["d.csv", "--recipe", "r.toml"], "train"),
    ("unknown field", recipe("[train]\nepoch = 1"), ["d.csv", "--recipe", "r.toml"], "epochs"),
    ("a word for a number", recipe('[train]\nepochs = "many"'), ["d.csv", "--recipe", "r.toml"], "epochs"),
    (
        "a number out of range",
        recipe("[train]\nlearning_rate = -1.0"),
        ["d.csv", "--recipe", "r.toml"],
        "learning_rate",
    ),
    ("not a number", recipe("[train]\nlearning_rate = nan"), ["d.csv", "--recipe", "r.toml"], "learning_rate"),
    ("unknown operator", recipe('[model]\npooling = "bahdanaw"'), ["d.csv", "--recipe", "r.toml"], "bahdanau"),
    ("unknown part", recipe('[model]\npooling = { type = "Pairwize" }'), ["d.csv", "--recipe", "r.toml"], "Pairwise"),
    ("code without leave", recipe('[model]\npooling = "os:system"'), ["d.csv", "--recipe", "r.toml"], "allow"),
    ("a section that is a list", recipe("train = [1, 2]"), ["d.csv", "--recipe", "r.toml"], "train"),
    (
        "a folder for a recipe",
        lambda folder: [good(folder), (folder / "r.toml").mkdir()],
        ["d.csv", "--recipe", "r.toml"],
        "r.toml",
    ),
    ("a recipe without data", recipe("[train]\nepochs = 1"), ["--recipe", "r.toml"], "data"),
    ("odd width", good, ["d.csv", "--set", "width=7"], "width"),
    ("heads that do not divide", good, ["d.csv", "--encoder", "transformer", "--set", "heads=3"], "heads"),
]
OPTIONS: list[Case] = [
    ("no data", nothing, [], "data"),
    ("unknown option", good, ["d.csv", "--epocs", "3"], "--epochs"),
    ("a word too many", good, ["d.csv", "e.csv"], "e.csv"),
    ("an option without its value", good, ["d.csv", "--epochs"], "--epochs"),
    ("a word for a count", good, ["d.csv", "--epochs", "x"], "--epochs"),
    ("epochs below none", good, ["d.csv", "--epochs", "-1"], "epochs"),
    ("a seed below zero", good, ["d.csv", "--seed", "-1"], "seed"),
    ("a huge seed", good, ["d.csv", "--seed", "99999999999999999999"], "seed"),
    ("unknown kind", good, ["d.csv", "--kind", "singel"], "single"),
    ("unknown encoder", good, ["d.csv", "--encoder", "lstm"], "encoder"),
    ("unknown attention", good, ["d.csv", "--attention", "longfromer"], "longformer"),
    ("one fold", good, ["d.csv", "--folds", "1"], "folds"),
    ("more folds than rows", good, ["d.csv", "--folds", "900"], "folds"),
    ("no threads", good, ["d.csv", "--threads", "0"], "--threads"),
    ("set without a value", good, ["d.csv", "--set", "epochs"], "field=value"),
    ("set an unknown field", good, ["d.csv", "--set", "train.epoch=1"], "epochs"),
    ("set a field like none", good, ["d.csv", "--set", "foo=1"], "no field 'foo'; `attn init DATA` writes"),
    ("a batch that is no number", good, ["d.csv", "--batch", "foo"], "or auto for as many as fit"),
    ("a time without a unit", good, ["d.csv", "--time", "5"], "give 5s, 5m or 5h"),
    ("parts for one process", good, ["d.csv", "--sharded"], "give --processes 2 or more"),
    ("a teacher that is not there", good, ["d.csv", "--teacher", "runs/nothing"], "no run at runs/nothing"),
    ("further data that are not there", good, ["d.csv", "--also", "nofile.csv"], "no file or folder 'nofile.csv'"),
    ("set a wrong value", good, ["d.csv", "--set", "dropout=2.0"], "dropout"),
    ("set a field twice", good, ["d.csv", "--set", "epochs=2"], "twice"),
    ("nothing to resume", good, ["d.csv", "--resume"], "resume"),
    ("out is a file", good, ["d.csv", "--out", "d.csv"], "d.csv"),
    ("out below a file", good, ["d.csv", "--out", "d.csv/run"], "d.csv"),
    ("out is taken", lambda folder: [good(folder), (folder / "run").mkdir()], ["d.csv", "--out", "run"], "run"),
    (
        "out is unfinished",
        lambda folder: [good(folder), (folder / "run.partial").mkdir()],
        ["d.csv", "--out", "run"],
        "--resume",
    ),
]


@pytest.mark.parametrize(
    ("prepare", "words", "hint"), [pytest.param(*case[1:], id=case[0]) for case in DATA + RECIPES + OPTIONS]
)
def test_train_refuses(prepare: Callable[[Path], None], words: list[str], hint: str, here: Path) -> None:
    prepare(here)
    before = listing(here)
    ended = attn("train", *words) if not words or words[0].startswith("--") else small_train(*words)
    assert hint.lower() in ended.fault.lower(), ended.fault
    assert listing(here) == before


@pytest.mark.parametrize(("prepare", "words", "hint"), [pytest.param(*case[1:], id=case[0]) for case in DATA[:22]])
def test_check_and_init_refuse_the_same_data(
    prepare: Callable[[Path], None], words: list[str], hint: str, here: Path
) -> None:
    prepare(here)
    before = listing(here)
    for verb in ("init", "info"):
        ended = attn(verb, *words)
        if ended.code:
            assert ended.fault
    if hint != "label":
        assert hint.lower() in attn("check", *words).fault.lower()
    assert listing(here) == before or (here / "recipe.toml").exists() is False


def edited(name: str, change: Callable[[str], str]) -> Callable[[Path], None]:
    """A run in which one file is changed."""

    def damage(run: Path) -> None:
        path = run / name
        path.write_text(change(path.read_text("utf-8")), encoding="utf-8")

    return damage


def removed(name: str) -> Callable[[Path], None]:
    """A run that lacks one file."""
    return lambda run: (run / name).unlink()


def replaced(name: str, raw: bytes) -> Callable[[Path], None]:
    """A run in which one file is another."""
    return lambda run: (run / name).write_bytes(raw) and None


def swapped_weights(run: Path) -> None:
    """Weights of another shape, with the checksum made to fit."""
    import safetensors.torch
    import torch

    from attnkit.run.record import file_sha256, read_record, write_record

    path = run / "model" / "weights.safetensors"
    tensors = {name: torch.stack([held, held]) for name, held in safetensors.torch.load_file(path).items()}
    safetensors.torch.save_file(tensors, path)
    values = read_record(run / "model" / "model.json")
    values["files"]["weights.safetensors"] = file_sha256(path)
    values.pop("format")
    write_record(run / "model" / "model.json", values)


RUNS = [
    ("no weights", removed("model/weights.safetensors"), "weights.safetensors"),
    ("no model.json", removed("model/model.json"), "model"),
    ("no tokenizer", removed("model/tokenizer.json"), "tokenizer.json"),
    ("no recipe", removed("recipe.toml"), "recipe.toml"),
    ("weights cut short", replaced("model/weights.safetensors", b"\x10\0\0\0\0\0\0\0{}"), "weights.safetensors"),
    ("weights that are none", replaced("model/weights.safetensors", b"\xff" * 64), "weights.safetensors"),
    ("weights of another shape", swapped_weights, "shape"),
    ("empty model.json", replaced("model/model.json", b""), "model.json"),
    ("model.json a list", replaced("model/model.json", b"[]"), "model.json"),
    (
        "model.json changed by hand",
        edited("model/model.json", lambda text: text.replace('"good"', '"bood"')),
        "changed",
    ),
    (
        "model.json of the future",
        edited("model/model.json", lambda text: text.replace('"format": 1', '"format": 2')),
        "format",
    ),
    ("tokenizer changed", edited("model/tokenizer.json", lambda text: text.replace("film", "flim")), "tokenizer.json"),
]


@pytest.mark.parametrize(("damage", "hint"), [pytest.param(*case[1:], id=case[0]) for case in RUNS])
def test_damaged_runs_are_refused(damage: Callable[[Path], None], hint: str, trained: Path, here: Path) -> None:
    run = here / "run"
    shutil.copytree(trained / "run", run)
    damage(run)
    before = listing(here)
    for words in (["predict", run, "a fine film"], ["evaluate", run], ["info", run]):
        ended = attn(*words)
        assert hint in ended.fault, ended.fault
    assert listing(here) == before


def test_records_of_a_run_are_checked(trained: Path, here: Path) -> None:
    for name in ("metrics.json", "data.json", "machine.json"):
        run = here / name / "run"
        shutil.copytree(trained / "run", run)
        (run / name).write_text(json.dumps({"format": 1}), encoding="utf-8")
        shown = attn("runs", run.parent)
        assert shown.code == 0
        assert ("damaged" in shown.out) == (name != "data.json"), shown.out
        if name != "machine.json":
            assert name in attn("info" if name == "metrics.json" else "evaluate", run).fault


def test_predicting_refuses(trained: Path, here: Path) -> None:
    run = trained / "run"
    (here / "in.csv").write_text("body,other\na b,c\n", encoding="utf-8")
    (here / "has.csv").write_text("text,prediction\na b,c\n", encoding="utf-8")
    (here / "out.csv").write_text("precious\n", encoding="utf-8")
    (here / "latin.txt").write_bytes("été\n".encode("latin-1"))
    before = listing(here)
    cases = [
        (["predict"], "RUN"),
        (["predict", "nowhere", "x"], "no run"),
        (["predict", here, "x"], "not a run"),
        (["predict", run, "x", "--file", "in.csv"], "--file"),
        (["predict", run, "--file", "none.csv"], "none.csv"),
        (["predict", run, "--file", "none.txt"], "none.txt"),
        (["predict", run, "--file", "in.csv"], "text"),
        (["predict", run, "--file", "in.csv", "--text", "bodi"], "body"),
        (["predict", run, "--file", "has.csv"], "prediction"),
        (["predict", run, "--file", "in.csv", "--text", "body", "--out", "in.csv"], "input"),
        (["predict", run, "--file", "in.csv", "--text", "body", "--out", "out.csv"], "--force"),
        (["predict", run, "--file", "in.csv", "--text", "body", "--out", "out.xlsx"], "ending"),
        (["predict", run, "--file", "in.csv", "--text", "body", "--out", "no/where.csv"], "folder"),
        (["predict", run, "--file", "in.csv", "--where"], "--where"),
        (["predict", run, "x", "--out", "o.csv"], "--file"),
        (["predict", run, "--file", "latin.txt"], "UTF-8"),
        (["predict", run, "x", "--text", "body"], "--text"),
        (["predict", run, "--file", "latin.txt", "--pair", "other"], "columns"),
        (["predict", run, "--file", "in.csv", "--text", "body", "--pair", "other"], "single texts"),
        (["predict", run], "standard input"),
        (["evaluate", run, "in.csv"], "label"),
        (["evaluate", run, "none.csv"], "none.csv"),
        (["evaluate", "nowhere"], "no run"),
        (["runs", "nowhere"], "nowhere"),
        (["info", "nowhere"], "nowhere"),
        (["describe", "vaswany"], "vaswani"),
        (["laws", "vaswany"], "vaswani"),
        (["laws", "no_such_module:f"], "no_such_module"),
        (["laws", "json:dunps"], "dumps"),
        (["laws", "json:"], "module:name"),
        (["laws", "json:dumps", "--normalizer", "--claim", "causal"], "--claim"),
        (["laws", "json:dumps", "--window", "0"], "at least 1 key"),
        (["laws", "vaswani", "--claim", "causual"], "causal"),
        (["lst"], "list"),
        (["--jsno"], "--jsno"),
    ]
    for words, hint in cases:
        ended = attn(*words)
        assert hint in ended.fault, (words, ended.fault)
    assert "UTF-8" in attn("predict", run, stdin=b"\xff\xfe\xfa").fault
    assert listing(here) == before
