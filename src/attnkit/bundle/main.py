"""What a bundle does when it is run: `python NAME.pyz "a text"`."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from attnkit.bundle.artefact import Artefact

NEEDED = ("numpy", "onnxruntime", "tokenizers")
_WORDS_LOOKED_AT = 5
_COLUMNS = (".csv", ".tsv", ".jsonl", ".json", ".parquet", ".gz")


def main(arguments: Sequence[str] | None = None, path: str | None = None) -> int:
    """Predict what the command line names with the bundle at `path`; 0 done, 1 failed, 2 wrong use."""
    asked = _parser().parse_args(arguments)
    missing = _missing()
    if missing:
        return _complain(f"this bundle needs {' and '.join(missing)}; pip install {' '.join(missing)}", 2)
    from attnkit.bundle.artefact import open_artefact
    from attnkit.bundle.contents import CARD, Contents
    from attnkit.errors import FailedError, UsageError

    place = path or sys.argv[0]
    try:
        if asked.card:
            print(Contents(place).read(CARD).decode("utf-8"))
            return 0
        model = open_artefact(place, threads=asked.threads)
        _answer(model, _texts(model, asked), asked)
    except UsageError as error:
        return _complain(str(error), 2)
    except FailedError as error:
        return _complain(str(error), 1)
    except BrokenPipeError:
        sys.stderr.close()
        return 141
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Predict texts. Where the model was trained on pairs, a text is two with a tab between them."
    )
    parser.add_argument("texts", nargs="*", metavar="TEXT", help="texts, each in quotes; else lines of standard input")
    parser.add_argument("--file", type=Path, help="a file of texts, one a line")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of lines")
    parser.add_argument("--probabilities", action="store_true", help="give the probability of every class")
    parser.add_argument("--attention", action="store_true", help="show where the model looked")
    parser.add_argument("--card", action="store_true", help="print what this model is, and what it is not for")
    parser.add_argument("--threads", type=int, help="threads to compute with; all cores where left out")
    return parser


def _missing() -> list[str]:
    from importlib.util import find_spec

    return [name for name in NEEDED if find_spec(name) is None]


def _texts(model: "Artefact", asked: argparse.Namespace) -> list[Any]:
    from attnkit.errors import UsageError

    if asked.file is not None and asked.texts:
        raise UsageError("texts and --file cannot be given together; leave one out")
    if asked.texts:
        lines = list(asked.texts)
    elif asked.file is not None:
        if asked.file.suffix in _COLUMNS:
            raise UsageError(
                f"{asked.file} has columns or fields, and this reads one text a line; `attn predict` reads such files, "
                "or write the texts alone into a .txt file"
            )
        lines = _lines(_read(asked.file), str(asked.file))
    elif sys.stdin.isatty():
        raise UsageError("give texts in quotes, --file, or lines on standard input")
    else:
        lines = _lines(sys.stdin.buffer.read(), "standard input")
    if not model.paired:
        return lines
    pairs = [line.partition("\t") for line in lines]
    for number, (_, tab, _) in enumerate(pairs, 1):
        if not tab:
            raise UsageError(f"text {number} is one text and this model reads pairs; put a tab between the two")
    return [(first, second) for first, _, second in pairs]


def _read(path: Path) -> bytes:
    from attnkit.errors import UsageError

    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}); check the name") from None


def _lines(content: bytes, where: str) -> list[str]:
    from attnkit.errors import UsageError

    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"{where} is not UTF-8; convert it first") from None
    if not text.strip():
        raise UsageError(f"{where} holds no text")
    return [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]


def _answer(model: "Artefact", texts: list[Any], asked: argparse.Namespace) -> None:
    looks = [model.attention(text) for text in texts] if asked.attention else [None] * len(texts)
    found = [look.prediction for look in looks if look] if asked.attention else model.predict(texts)
    if asked.json:
        answers = [
            {"text": text, **one, **({"attention": list(zip(look.tokens, look.weights, strict=True))} if look else {})}
            for text, one, look in zip(texts, found, looks, strict=True)
        ]
        print(json.dumps(answers, ensure_ascii=False, indent=1))
        return
    for text, one, look in zip(texts, found, looks, strict=True):
        print(_line(text, one))
        if asked.probabilities:
            for name, share in sorted(one["probabilities"].items(), key=lambda entry: -entry[1]):
                print(f"  {share:.4f}  {name}")
        if look:
            heaviest = sorted(zip(look.weights, look.tokens, strict=True), reverse=True)[:_WORDS_LOOKED_AT]
            print(
                f"  looked at: {', '.join(f'{token} {100 * weight:.0f} %' for weight, token in heaviest) or 'nothing'}"
            )


def _line(text: Any, one: dict[str, Any]) -> str:
    """Label, probability and text with tabs between them, as `attn predict` prints them."""
    label = one["label"]
    words = ", ".join(label) or "(none)" if isinstance(label, tuple) else label
    words = f"{words:.4g}" if isinstance(words, float) else words
    sure = "" if one["probability"] is None else f"\t{one['probability']:.4f}"
    whole = " ".join((" | ".join(text) if isinstance(text, tuple) else text).split())
    return f"{words}{sure}\t{whole}"


def _complain(sentence: str, code: int) -> int:
    print(f"{Path(sys.argv[0]).name}: {sentence.removesuffix('.')}.", file=sys.stderr)
    return code
