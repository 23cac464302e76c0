"""The laws every attention is held to: ours, yours, anyone's."""

from attnkit.attention.laws.attention import LAWS, check_attention
from attnkit.attention.laws.normalizer import NORMALIZER_LAWS, check_normalizer
from attnkit.attention.laws.report import Report, Row
from attnkit.attention.laws.subject import Facts

__all__ = ["LAWS", "NORMALIZER_LAWS", "Facts", "Report", "Row", "check_attention", "check_normalizer"]
