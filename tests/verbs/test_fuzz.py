"""Valid files with bytes flipped, cut or lost: attn refuses each with one sentence, or rightly takes it.

Rightly: a damaged file of a run is taken only where the answers are those of the sound run.
"""

import gzip
import json
import random
import shutil
from pathlib import Path

import pytest

from tests.verbs.calling import attn, review_csv, review_rows

TEXT = "a lovely scene"


def damaged(raw: bytes, draw: random.Random) -> bytes:
    """Cut short, or with some bytes flipped, dropped, doubled or made something else."""
    match draw.randrange(6):
        case 0:
            return raw[: draw.randrange(len(raw))]
        case 1:
            return raw[draw.randrange(1, len(raw)) :]
        case 2:
            start = draw.randrange(len(raw))
            return raw[:start] + raw[start + draw.randint(1, 40) :]
        case 3:
            start = draw.randrange(len(raw))
            return raw[:start] + raw[start : start + draw.randint(1, 40)] + raw[start:]
    changed = bytearray(raw)
    for _ in range(draw.randint(1, 4)):
        place = draw.randrange(len(changed))
        changed[place] = changed[place] ^ (1 << draw.randrange(8)) if draw.random() < 0.5 else draw.randrange(256)
    return bytes(changed)


def refused_or_taken(words: list[object], note: str) -> str | None:
    """What stdout holds where the command was taken, None where it was refused with one sentence."""
    ended = attn(*words)
    try:
        if ended.code == 0:
            assert not ended.err
            return ended.out
        assert ended.fault
    except AssertionError as error:
        raise AssertionError(f"{note}: {error}") from None
    return None


def jsonl_gz() -> bytes:
    """Rows as packed JSON lines."""
    lines = "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in review_rows(60))
    return gzip.compress(lines.encode(), mtime=0)


@pytest.mark.parametrize("name", ["d.csv", "d.jsonl.gz", "d.tsv"])
def test_damaged_data(name: str, here: Path) -> None:
    sound = {
        "d.csv": review_csv(60).encode(),
        "d.jsonl.gz": jsonl_gz(),
        "d.tsv": review_csv(60).replace(",", "\t").encode(),
    }[name]
    data, written = here / name, here / "recipe.toml"
    refused = 0
    for number in range(70):
        data.write_bytes(damaged(sound, random.Random(f"{name} {number}")))
        note = f"{name} {number}"
        taken = refused_or_taken(["check", data], note)
        if refused_or_taken(["init", data], note) is None:
            refused += 1
            assert not written.exists(), note
        else:
            assert taken is not None, f"{note}: init takes what check refuses"
            written.unlink()
        assert {path.name for path in here.iterdir()} == {name}, note
    # gzip carries a checksum, so there nothing damaged can be taken
    assert 5 < refused <= (70 if name.endswith(".gz") else 69)


def test_damaged_recipes(trained: Path, here: Path) -> None:
    sound = (trained / "run" / "recipe.toml").read_bytes()
    path = here / "recipe.toml"
    refused = 0
    for number in range(90):
        path.write_bytes(damaged(sound, random.Random(f"recipe {number}")))
        refused += refused_or_taken(["info", path], f"recipe {number}") is None
        assert [entry.name for entry in here.iterdir()] == ["recipe.toml"]
    assert 30 < refused < 90


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("model/model.json", 50),
        ("model/weights.safetensors", 50),
        ("model/tokenizer.json", 40),
        ("metrics.json", 30),
        ("data.json", 30),
    ],
)
def test_damaged_runs(name: str, count: int, trained: Path, here: Path) -> None:
    run = here / "run"
    shutil.copytree(trained / "run", run)
    sound = (run / name).read_bytes()
    ask = (
        ["evaluate", run]
        if name == "data.json"
        else ["info", run]
        if name == "metrics.json"
        else ["predict", run, TEXT]
    )
    wanted = attn(*ask).out
    refused = 0
    for number in range(count):
        broken = damaged(sound, random.Random(f"{name} {number}"))
        (run / name).write_bytes(broken)
        note = f"{name} {number}"
        taken = refused_or_taken(ask, note)
        assert taken in (None, wanted), f"{note}: taken, and answers otherwise"
        refused += taken is None
        assert broken == sound or taken is None or json.loads(broken) == json.loads(sound), f"{note}: taken"
    assert refused > 0.8 * count
