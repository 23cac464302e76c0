"""Delimiters: which tokens part a text, and which of them end a piece of it."""

# Byte-level and piece-wise tokenizers write a space, a line break or a continuation as a sign of their own.
SIGNS = {"Ġ": " ", "▁": " ", "Ċ": "\n", "</w>": "", "##": ""}
SPECIAL = frozenset(
    [
        "[sep]",
        "[cls]",
        "<s>",
        "</s>",
        "<bos>",
        "<eos>",
        "<sep>",
        "<cls>",
        "<|endoftext|>",
        "<|im_start|>",
        "<|im_end|>",
        "<|begin_of_text|>",
        "<|end_of_text|>",
        "<|eot_id|>",
    ]
)
ENDS = frozenset([".", "!", "?", ";", "…", "。", "！", "？", "；", "...", "\n", "\n\n", "\\n"])
MARKS = frozenset(
    [
        ",",
        ":",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        '"',
        "'",
        "``",
        "''",
        "-",
        "--",
        "–",
        "—",
        "/",
        "|",
        "，",
        "、",
        "：",
        "（",
        "）",
        "“",
        "”",
        "‘",
        "’",
        "「",
        "」",
        "《",
        "》",
    ]
)


def plain(token: str) -> str:
    """The token as a reader would write it."""
    for sign, written in SIGNS.items():
        token = token.replace(sign, written)
    return token.strip(" \t")


def is_delimiter(token: str) -> bool:
    """True for special tokens, line breaks and punctuation."""
    written = plain(token)
    return ends_segment(token) or written in MARKS


def ends_segment(token: str) -> bool:
    """True for special tokens, line breaks and the marks that end a sentence."""
    written = plain(token)
    return written.lower() in SPECIAL or written in ENDS or (written.isspace() and "\n" in written)
