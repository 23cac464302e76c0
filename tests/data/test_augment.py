"""Augmentation: each operation on ten texts, what it must change and what it must leave, and the rows of a training."""

import random
from pathlib import Path

import pytest

from attnkit.data.augment import Augmenter, read_synonyms
from attnkit.data.augment.shown import shown
from attnkit.data.augment.typos import KEYS, mistyped, typos
from attnkit.data.augment.words import Words, count_of
from attnkit.data.examples import Example
from attnkit.data.tokens import fit
from attnkit.errors import UsageError
from attnkit.run.recipe import Recipe
from attnkit.train.altered import altered
from attnkit.train.preprocessing import Preprocessing
from attnkit.train.terms.check import check_terms
from docs.augmentation_page import TEXTS
from tests.verbs.calling import attn

LONG = "one two three four five six seven eight nine ten"
SYNONYMS = {"film": ("movie",), "good": ("fine", "nice"), "small": ("little",), "big": ("large",)}


def each(**shares: float) -> list[tuple[Words, Words]]:
    """Each of the ten texts before and after, under five draws."""
    augmenter = Augmenter(**shares, synonyms=SYNONYMS)  # type: ignore[arg-type]
    return [
        (Words.of(text), Words.of(augmenter.altered(text, random.Random(f"{seed} {number}"))))
        for seed in range(5)
        for number, text in enumerate(TEXTS)
    ]


def test_a_text_is_its_words_and_gaps() -> None:
    assert len(TEXTS) == 10
    for text in (*TEXTS, "", " ... ", "a<br />b  c's\n", "नमस्ते दुनिया", "3.5 %", "x-y_z"):
        words = Words.of(text)
        assert words.text == text and len(words.gaps) == len(words.words) + 1
    assert Words.of("Well<br />it's <b>fine</b>, no?").words == ("Well", "it's", "fine", "no")
    assert Words.of("这本书 good!").words == ("这", "本", "书", "good")
    assert Words.of("नमस्ते दुनिया").words == ("नमस्ते", "दुनिया")


def test_shares_are_of_the_words_and_at_least_one() -> None:
    assert [count_of(share, 10) for share in (0.0, 0.01, 0.1, 0.26, 1.0)] == [0, 1, 1, 3, 10]
    assert count_of(0.5, 0) == 0


def test_swapped_words_are_the_same_words_and_gaps_stay() -> None:
    for before, after in each(swap=0.3):
        assert after.gaps == before.gaps and sorted(after.words) == sorted(before.words)
        n = len(before.words)
        moved = sum(a != b for a, b in zip(before.words, after.words, strict=True))
        assert moved <= max(2, count_of(0.3, n) + 1)
        assert (after.words != before.words) == (n > 1)
        places = [before.words.index(word) for word in after.words] if len(set(before.words)) == n else []
        assert all(abs(place - number) <= 1 for number, place in enumerate(places))


def test_deleted_words_are_gone_and_the_others_stand_in_order() -> None:
    for before, after in each(delete=0.4):
        n = len(before.words)
        assert len(after.words) == max(1, n - count_of(0.4, n))
        rest = iter(before.words)
        assert all(word in rest for word in after.words)
        marks = [mark for mark in before.text if not mark.isalnum() and not mark.isspace() and mark != "'"]
        assert [mark for mark in after.text if not mark.isalnum() and not mark.isspace() and mark != "'"] == marks
        assert "  " not in after.text
    assert Augmenter(delete=1.0).altered(LONG, random.Random(0)) in LONG.split()


def test_inserted_words_are_of_the_text() -> None:
    for before, after in each(insert=0.3):
        n = len(before.words)
        assert len(after.words) == n + count_of(0.3, n)
        assert set(after.words) == set(before.words)
        rest = iter(after.words)
        assert all(word in rest for word in before.words)
    assert " " not in Augmenter(insert=0.5).altered("这本书写得很好", random.Random(0))


def test_typos_are_one_stroke_from_the_word() -> None:
    altogether = set()
    for number, text in enumerate(TEXTS * 5):
        before = Words.of(text)
        after = typos(before, 0.3, random.Random(number))
        assert after.gaps == before.gaps
        changed = [(a, b) for a, b in zip(before.words, after.words, strict=True) if a != b]
        able = sum(len(word) > 1 for word in before.words)
        assert len(changed) == min(able, count_of(0.3, len(before.words)))
        altogether |= {stroke(a, b) for a, b in changed}
    assert altogether == {"left out", "doubled", "beside", "exchanged"}
    assert "a" in KEYS["q"] and "w" in KEYS["q"] and "p" not in KEYS["q"]
    assert all(a in KEYS[b] for b in KEYS for a in KEYS[b])
    assert all(mistyped("oo", random.Random(n)) != "oo" for n in range(50))


def stroke(word: str, typed: str) -> str:
    if len(typed) < len(word):
        assert any(typed == word[:n] + word[n + 1 :] for n in range(len(word)))
        return "left out"
    if len(typed) > len(word):
        assert any(typed == word[: n + 1] + word[n:] for n in range(len(word)))
        return "doubled"
    places = [n for n, (a, b) in enumerate(zip(word, typed, strict=True)) if a != b]
    if len(places) == 1:
        assert typed[places[0]].lower() in KEYS[word[places[0]].lower()]
        assert typed[places[0]].isupper() == word[places[0]].isupper()
        return "beside"
    assert places == [places[0], places[0] + 1]
    assert typed[places[0]] == word[places[1]] and typed[places[1]] == word[places[0]]
    return "exchanged"


def test_words_are_replaced_by_synonyms_alone_with_their_capitals() -> None:
    for before, after in each(replace=1.0):
        for a, b in zip(before.words, after.words, strict=True):
            assert b.lower() in SYNONYMS[a.lower()] if a.lower() in SYNONYMS else a == b
    augmenter = Augmenter(replace=1.0, synonyms={"film": ("movie",)})
    assert augmenter.altered("Film, FILM and film", random.Random(0)) == "Movie, MOVIE and movie"


def test_texts_without_words_are_left() -> None:
    augmenter = Augmenter(swap=1.0, delete=1.0, insert=1.0, typos=1.0, replace=1.0, synonyms=SYNONYMS)
    for text in ("", "   ", "... !", "<br />"):
        assert augmenter.altered(text, random.Random(0)) == text


def test_what_happens_to_a_row_depends_on_its_numbers_alone() -> None:
    augmenter = Augmenter(0.5, swap=0.5)
    rows = {(time, number): augmenter.row(LONG, None, 7, time, number) for time in range(40) for number in range(40)}
    assert all(augmenter.row(LONG, None, 7, *key) == found for key, found in reversed(rows.items()))
    share = sum(found is not None for found in rows.values()) / 1600
    assert share == pytest.approx(0.5, abs=0.05)
    for number in range(40):
        assert 8 < sum(rows[time, number] is not None for time in range(40)) < 32
    assert len(set(rows.values())) > 20
    assert [augmenter.row(LONG, None, 8, 0, n) for n in range(9)] != [rows[0, n] for n in range(9)]
    both = Augmenter(1.0, swap=0.5).row(LONG, LONG, 7, 0, 0)
    assert both is not None and both[0] != LONG and both[1] not in (LONG, both[0])


def test_synonyms_are_read_from_lines(tmp_path: Path) -> None:
    file = tmp_path / "synonyms.txt"
    file.write_text("Film movie picture\n\nbig, very large\nmovie flick\n", encoding="utf-8")
    found = read_synonyms(str(file))
    assert found["film"] == ("movie", "picture") and found["movie"] == ("film", "picture", "flick")
    assert found["big"] == ("very large",)
    for content, said in (("alone\n", r"synonyms.txt:1 holds 'alone' alone"), ("\n", "holds no synonyms")):
        file.write_text(content, encoding="utf-8")
        with pytest.raises(UsageError, match=said):
            read_synonyms(str(file))
    with pytest.raises(UsageError, match="there is no file .*none of synonyms"):
        read_synonyms(str(tmp_path / "none"))
    (tmp_path / "latin.txt").write_bytes("schön hübsch".encode("latin-1"))
    with pytest.raises(UsageError, match="not UTF-8 text"):
        read_synonyms(str(tmp_path / "latin.txt"))


def examples(count: int) -> list[Example]:
    return [Example(f"{LONG} no{number}", None, "x", "f", number) for number in range(count)]


@pytest.mark.parametrize("hierarchical", [False, True])
def test_a_step_encodes_altered_rows_alone_and_each_row_stands_once(hierarchical: bool) -> None:
    rows = examples(64)
    limits = {"hierarchical": True, "max_sentences": 3, "max_sentence_tokens": 9} if hierarchical else {}
    prepare = Preprocessing(fit("word", [row.text for row in rows], min_count=1), 12, **limits)  # type: ignore[arg-type]
    plain = prepare.encode([row.text for row in rows])
    noise = altered(Recipe().with_values({"augment": 0.3, "delete": 0.2, "insert": 0.2, "seed": 3}), rows, prepare)
    assert noise is not None
    numbers = list(range(64))
    random.Random(0).shuffle(numbers)
    items = noise.items(numbers, 5, [plain[number] for number in numbers])
    changed = [number for number, item in zip(numbers, items, strict=True) if item != plain[number]]
    assert 8 < len(changed) < 32
    for number, item in zip(numbers, items, strict=True):
        wanted = noise.augmenter.row(rows[number].text, None, 3, 5, number)
        assert item == (plain[number] if wanted is None else prepare.encode([wanted[0]])[0])
    halves = [noise.items(part, 5, [plain[n] for n in part]) for part in (numbers[:20], numbers[20:])]
    assert halves[0] + halves[1] == items
    assert noise.items(numbers, 6, [plain[number] for number in numbers]) != items
    assert altered(Recipe(), rows, prepare) is None


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"augment": 0.5}, "not how; set one of swap"),
        ({"swap": 0.5}, "alters no text while augment.augment is 0"),
        ({"augment": 0.5, "replace": 0.1}, "replace does nothing without augment.synonyms"),
        ({"augment": 0.5, "swap": 0.1, "synonyms": "x"}, "synonyms does nothing without augment.replace"),
    ],
)
def test_fields_that_do_nothing_are_refused(values: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        check_terms(Recipe().with_values(values))


def test_the_verb_shows_texts_before_and_after(tmp_path: Path) -> None:
    file = tmp_path / "data.csv"
    file.write_text("text,label\n" + "".join(f"{LONG} no{n},{n % 2}\n" for n in range(20)), encoding="utf-8")
    ended = attn("augment", file, "--swap", "0.2", "--rows", "3")
    assert ended.code == 0 and ended.out.count("\n- ") == 3 and ended.out.count("\n+ ") == 3
    found = shown(file, Augmenter(swap=0.2), rows=3)
    assert all(one.before in ended.out and one.after in ended.out and one.place in ended.out for one in found)
    assert all(one.before != one.after and one.before.startswith(LONG) for one in found)
    assert '"after"' in attn("augment", file, "--typos", "0.2", "--json").out
    synonyms = tmp_path / "synonyms.txt"
    synonyms.write_text("zero nil\n", encoding="utf-8")
    assert "No text is altered" in attn("augment", file, "--replace", "0.2", "--synonyms", synonyms).out
    for words, said in (
        ((), "Nothing is to be done"),
        (("--swap", "2"), "from 0 to 1, and got 2.0"),
        (("--swap", "0.1", "--rows", "0"), "from 1 up"),
        (("--replace", "0.1"), "needs --synonyms"),
    ):
        assert said in attn("augment", file, *words).fault
