"""The page of augmentation: each operation on the same ten texts, written for it."""

import inspect
import random
import tempfile
from importlib import import_module
from pathlib import Path

SAID = """# Augmentation

Noise on the words of the training texts, as `[augment]` of a [recipe](recipe.md) asks for it. `augment` is the share of
the training texts that are altered at a step; the other fields are shares of an altered text's words, at least one word
where they are above 0. They are applied in this order: `replace`, `insert`, `swap`, `delete`, `typos`.

- **Training rows alone.** Validation, test and prediction read texts as they are written.
- **Before the tokenizer.** A text is cut into words and what stands between them; HTML tags, punctuation and white
  space stay. In scripts without spaces a character is a word. Both texts of a pair are altered.
- **Stateless.** What happens to a row is a function of (seed, step, row): a resumed run goes on as it would have, and
  processes agree. A row stands in one step of an epoch and is altered anew in the next.
- **Cheap.** Only the altered texts of a step are encoded again. Batches are made by the lengths of the texts as they
  are written.

Any of them can take away or mistype the very word that a label hangs on ("not", below): look before you train.
`attn augment DATA` shows it on your own texts. Beside it there is `model.word_dropout`, which makes words unknown.
Whether it helps is [measured](regularization.md).

On each of these ten texts, one draw with a share of 0.2 of the words. The synonyms are those of this file:

```text
{synonyms}
```
"""
TEXTS = (
    "The soup was cold, and the waiter laughed about it.",
    "I would gladly watch this film a second time!",
    "Why does the small blue lamp blink at night?",
    "Two days late, badly wrapped, but the clock itself is fine.",
    "Nobody told us that the museum closes at four.",
    "A quick, warm and funny story about a big family.",
    "It's not a bad phone; it just isn't a good one.",
    "Please change the date of my order to the 3rd of May.",
    "这本书写得很好，我一口气读完了。",
    "Short.",
)
SYNONYMS = "film movie picture\nquick fast rapid\ngood fine nice\nsmall little\nbig large\nstory, tale, short novel\n"
SHARE = 0.2


def page() -> str:
    """The whole page, in Markdown."""
    from attnkit.data.augment import Augmenter, read_synonyms

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "synonyms.txt"
        file.write_text(SYNONYMS, encoding="utf-8")
        synonyms = read_synonyms(str(file))
    lines = [SAID.format(synonyms=SYNONYMS.strip())]
    for name in ("replace", "insert", "swap", "delete", "typos"):
        lines += [f"## {name}", "", _doc(name), "", "```text"]
        augmenter = Augmenter(**{name: SHARE}, synonyms=synonyms)
        for number, text in enumerate(TEXTS):
            lines += [f"- {text}", f"+ {augmenter.altered(text, random.Random(number))}"]
        lines += ["```", ""]
    return "\n".join(lines).rstrip() + "\n"


def _doc(name: str) -> str:
    told = inspect.getdoc(getattr(import_module(f"attnkit.data.augment.{name}"), name)) or ""
    return " ".join(told.split())
