"""What all tokenizers do before they look at characters: Unicode form and HTML tags."""

from tokenizers import Regex, normalizers

_TAGS = (
    "a|b|blockquote|br|div|em|font|h[1-6]|hr|i|img|li|ol|p|pre|q|s|small|span|strong|sub|sup|table|tbody|td|th|tr|u|ul"
)
_ATTRIBUTE = r"""\s+[a-z-]+\s*=\s*(?:"[^"]{0,300}"|'[^']{0,300}'|[^\s"'<>]+)"""
# Only known tags with whole attributes: "a <b and c>" in a formula or a "<3" must stay.
TAG = rf"(?i)</?(?:{_TAGS})(?:{_ATTRIBUTE})*\s*/?>"


def cleaning(lowercase: bool) -> normalizers.Normalizer:
    """NFC and full-width forms made plain (NFKC), HTML tags to spaces, and lower case on request."""
    steps: list[normalizers.Normalizer] = [normalizers.NFKC(), normalizers.Replace(Regex(TAG), " ")]
    if lowercase:
        steps.append(normalizers.Lowercase())
    return normalizers.Sequence(steps)
