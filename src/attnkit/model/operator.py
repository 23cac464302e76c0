"""The operator a recipe names: a catalogue name, a table of parts, or the user's own `module:Name`."""

from attnkit.attention.base import Attention
from attnkit.attention.catalogue import named
from attnkit.attention.plain import from_plain
from attnkit.model.settings import Operator


def operator(value: Operator, allow_code: bool = False) -> Attention:
    """The attention that `value` stands for.

    Raises: ValueError on a name or part that does not exist (naming the nearest), or code without `allow_code`.
    """
    if isinstance(value, str) and ":" not in value:
        return named(value)
    part = from_plain({"type": value} if isinstance(value, str) else value, allow_code=allow_code)
    if not isinstance(part, Attention):
        raise ValueError(
            f"{type(part).__name__} is a part of an attention, not a whole one; "
            'put it in a table like { type = "Pairwise", score = { type = "Additive" } }'
        )
    return part


def check_operator(value: Operator, allow_code: bool = False) -> None:
    """Refuse what `operator` cannot make.

    Raises: ValueError as `operator` does.
    """
    operator(value, allow_code)
