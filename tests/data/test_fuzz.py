"""Sound files cut short or with flipped bytes: refused in one sentence, or read; nothing else."""

import random
from pathlib import Path

from attnkit.data import infer_schema, make_splits, read
from attnkit.data.check import check
from attnkit.errors import UsageError
from tests.data.files import put_every_format

ROUNDS = 400


def damaged(content: bytes, generator: random.Random) -> bytes:
    if generator.random() < 0.4:
        return content[: generator.randrange(len(content))]
    changed = bytearray(content)
    for _ in range(generator.choice((1, 1, 2, 5))):
        changed[generator.randrange(len(changed))] = generator.randrange(256)
    return bytes(changed)


def outcome(path: Path) -> str:
    try:
        tables = read(path)
        schema = infer_schema(tables)
        splits = make_splits(tables, schema)
        check({"train": splits.train, "validation": splits.validation}, schema)
    except UsageError as error:
        sentence = str(error)
        assert sentence.endswith(".") and "\n" not in sentence and len(sentence) < 1000, sentence
        return "refused"
    return "read"


def test_damage_gives_one_sentence_or_is_rightly_read(tmp_path: Path) -> None:
    generator = random.Random(20261122)
    paths = put_every_format(tmp_path)
    seen: dict[str, int] = {}
    for _ in range(ROUNDS):
        path = generator.choice(paths)
        inner = [file for file in sorted(path.rglob("*")) if file.is_file()] if path.is_dir() else [path]
        file = generator.choice(inner)
        sound = file.read_bytes()
        file.write_bytes(damaged(sound, generator))
        result = outcome(path)
        seen[result] = seen.get(result, 0) + 1
        file.write_bytes(sound)
    assert all(outcome(path) == "read" for path in paths)
    assert seen["refused"] > ROUNDS // 2 and seen["read"] > ROUNDS // 20
