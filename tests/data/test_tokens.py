"""Tokenizers: what each makes of words, marks, markup and Chinese, and that ids depend on the text alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnkit.data.tokens import KINDS, TextTokenizer, fit, from_json, kind_for
from attnkit.data.tokens.tokenizer import SPECIAL
from attnkit.errors import UsageError

ENGLISH = ["The film is good.", "The film isn't bad!", "A film, a good film..."]
CHINESE = ["这部电影很好看", "这部电影不好看", "iPad很好 用"]


def cut(text: str, kind: str = "word", lowercase: bool = True) -> list[str]:
    tokenizer = fit(kind, [text], min_count=1, lowercase=lowercase)
    return tokenizer.tokens(tokenizer.encode_all([text])[0])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It's GREAT", ["it's", "great"]),
        ("don’t stop", ["don’t", "stop"]),
        ("'quoted' rock'n'roll", ["'", "quoted", "'", "rock'n'roll"]),
        ("wait... what?!", ["wait", "...", "what", "?", "!"]),
        ("no!!!!! -----", ["no", "!!!", "!!", "---", "--"]),
        ("3.5 stars, 1,000 mp3s in 90s", ["3.5", "stars", ",", "1,000", "mp3s", "in", "90s"]),
        ("one<br /><br />two<BR>three", ["one", "two", "three"]),
        ('a <i>fine</i> <a href="x>">link</a>', ["a", "fine", "link"]),
        ("if a <b and c> d, I <3 you", ["if", "a", "<", "b", "and", "c", ">", "d", ",", "i", "<", "3", "you"]),
        ("well-made snake_case", ["well", "-", "made", "snake", "_", "case"]),
        ("café ﬁne ＡＢＣ", ["café", "fine", "abc"]),
        ("iPad很好用", ["ipad", "很", "好", "用"]),
        ("これはペン", ["こ", "れ", "は", "ペ", "ン"]),
        ("안녕 세상", ["안녕", "세상"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("😀😀 ok", ["😀😀", "ok"]),
        (" \t\n x \n", ["x"]),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert cut(text) == words


def test_upper_case_stays_on_request() -> None:
    assert cut("It's GREAT", lowercase=False) == ["It's", "GREAT"]


def test_characters_keep_one_space_for_any_run_of_them() -> None:
    assert cut(" Ab \n\n c<br />好 ", "chars") == ["a", "b", " ", "c", " ", "好"]


def test_the_vocabulary_is_the_most_frequent_words_of_the_fitted_texts() -> None:
    tokenizer = fit("word", ENGLISH, min_count=2)
    known = tokenizer.tokens(range(tokenizer.size))
    assert known == ["[PAD]", "[UNK]", "[SEP]", "film", "a", "good", "the"]
    assert tokenizer.encode_all(["a new film"]) == [[4, 1, 3]]
    assert fit("word", ENGLISH, vocabulary_size=5, min_count=1).size == 5
    assert fit("word", ENGLISH[::-1], min_count=1).to_json() == fit("word", ENGLISH, min_count=1).to_json()


def test_byte_pairs_know_every_text_and_give_it_back() -> None:
    tokenizer = fit("bpe", ENGLISH * 3, vocabulary_size=300, lowercase=False)
    assert 259 < tokenizer.size <= 300
    for text in ("unseen Wörter 电影 😀", *ENGLISH):
        ids = tokenizer.encode_all([text])[0]
        assert min(ids) > 2
        assert tokenizer._inner.decode(ids) == text
    assert len(tokenizer.encode_all(["The film"])[0]) < len("The film")
    assert "".join(tokenizer.tokens(tokenizer.encode_all(["The film"])[0])) == "The film"


@pytest.mark.parametrize("kind", ["word", "bpe", "chars"])
def test_a_text_cannot_spell_a_special_token(kind: str) -> None:
    spelled = ["".join(SPECIAL), "[PAD] [UNK] [SEP]", *SPECIAL]
    tokenizer = fit(kind, spelled * 5, min_count=1)
    assert all(index > 2 for ids in tokenizer.encode_all(spelled) for index in ids)


def test_auto_is_characters_where_most_letters_have_no_spaces_between_words() -> None:
    assert fit("auto", CHINESE).kind == "chars"
    assert fit("auto", ENGLISH).kind == "word"
    assert kind_for(["これはペンです"]) == kind_for(["ภาษาไทย"]) == "chars"
    assert kind_for(["English with 一 word", "12345"]) == kind_for(["안녕 세상"]) == "word"


@pytest.mark.parametrize("kind", ["word", "bpe", "chars"])
@pytest.mark.parametrize("text", ["A <br />film, isn't ＡＢ?", "这部电影 好", "né naïve ok"])
def test_offsets_point_into_the_text_itself(kind: str, text: str) -> None:
    tokenizer = fit(kind, [text.lower()], min_count=1)
    offsets = tokenizer.offsets(text)
    assert len(offsets) == len(tokenizer.encode_all([text])[0])
    assert all(0 <= start < end <= len(text) for start, end in offsets)
    if kind == "word":
        tokens = tokenizer.tokens(tokenizer.encode_all([text])[0])
        assert [text[start:end].lower().replace("ａｂ", "ab") for start, end in offsets] == tokens


@given(st.lists(st.text(max_size=30), min_size=1, max_size=6), st.sampled_from(["word", "bpe", "chars"]))
def test_ids_depend_on_neither_batch_mates_nor_a_save(texts: list[str], kind: str) -> None:
    tokenizer = fit(kind, ENGLISH + CHINESE, min_count=1)
    together = tokenizer.encode_all(texts)
    assert together == [tokenizer.encode_all([text])[0] for text in texts]
    again = from_json(tokenizer.to_json())
    assert (again.kind, again.size, again.encode_all(texts)) == (kind, tokenizer.size, together)
    assert all(0 < index < tokenizer.size and index != 2 for ids in together for index in ids)


def test_a_limit_keeps_the_first_tokens() -> None:
    tokenizer = fit("word", ENGLISH, min_count=1)
    whole = tokenizer.encode_all(ENGLISH)
    assert tokenizer.encode_all(ENGLISH, 3) == [ids[:3] for ids in whole]
    assert tokenizer.encode_all(["", "film"], 3)[0] == []
    with pytest.raises(ValueError, match="max_tokens must be at least 1"):
        tokenizer.encode_all(ENGLISH, 0)


@pytest.mark.parametrize(
    ("first", "second", "limit", "kept"),
    [
        (4, 4, None, (4, 4)),
        (4, 4, 9, (4, 4)),
        (4, 4, 8, (4, 3)),
        (4, 4, 7, (3, 3)),
        (9, 2, 7, (4, 2)),
        (2, 9, 7, (2, 4)),
        (9, 0, 5, (4, 0)),
        (0, 9, 5, (0, 4)),
        (1, 1, 3, (1, 1)),
    ],
)
def test_pairs_are_cut_at_the_longer_one(first: int, second: int, limit: int | None, kept: tuple[int, int]) -> None:
    tokenizer = fit("word", ["x y"], min_count=1)
    x, y = tokenizer.encode_all(["x", "y"])
    got = tokenizer.encode_pair(["x " * first], ["y " * second], limit)
    assert got == [[*x * kept[0], 2, *y * kept[1]]]


def test_pairs_must_match_and_fit() -> None:
    tokenizer = fit("word", ["x y"], min_count=1)
    with pytest.raises(ValueError, match="got 1 and 2"):
        tokenizer.encode_pair(["x"], ["x", "y"])
    with pytest.raises(ValueError, match="at least 3"):
        tokenizer.encode_pair(["x"], ["y"], 2)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"kind": "wrod"}, "did you mean 'word'"),
        ({"kind": "zzz"}, "use one of auto, word, bpe, chars"),
        ({"texts": []}, "no text to fit"),
        ({"texts": ["", " "]}, "no text to fit"),
        ({"vocabulary_size": 3}, "vocabulary_size >= 4"),
        ({"min_count": 0}, "min_count >= 1"),
        ({"kind": "bpe", "vocabulary_size": 258}, "at least 259"),
    ],
)
def test_a_wrong_request_says_what_to_do(change: dict[str, object], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        fit(**{"kind": "word", "texts": ENGLISH, **change})


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"kind": "word"}', '{"kind": "word", "tokenizer": {}}', "null"])
def test_a_damaged_record_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a tokenizer"):
        from_json(text)


def test_a_record_without_our_special_ids_is_refused() -> None:
    plain = fit("word", ENGLISH).to_json().replace(SPECIAL[0], "other")
    with pytest.raises(UsageError, match="special ids"):
        TextTokenizer.from_json(plain)


def test_an_unknown_id_has_no_token() -> None:
    tokenizer = fit("word", ENGLISH)
    with pytest.raises(ValueError, match="no token"):
        tokenizer.tokens([tokenizer.size])
    assert KINDS == ("auto", "word", "bpe", "chars")
