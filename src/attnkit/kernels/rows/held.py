"""What a slab holds: how many pairs, and how many numbers a pair, by the parts that go through autograd."""

from attnkit.attention.normalizer import NORMALIZERS, Entmax
from attnkit.attention.pairwise import Pairwise
from attnkit.attention.refine import Convolution, HeadGate, Recurrent, Span, TalkingHeads, Temperature
from attnkit.attention.refine.base import Refinement
from attnkit.attention.score import SCORES
from attnkit.kernels.rows.place import SLAB_NUMBERS

# Through autograd a step holds its slab many times over: such slabs are smaller.
AUTOGRAD_NUMBERS = 1 << 18


def whole_heads(spec: Pairwise) -> bool:
    """True where a part goes through autograd with all heads at once: a refinement, or a user's own."""
    own = type(spec.score) not in SCORES or type(spec.normalizer) not in NORMALIZERS
    return own or bool(spec.refine)


def slab_numbers(spec: Pairwise, heads: int) -> int:
    """Numbers that one head's part of a slab may have."""
    if whole_heads(spec):
        # With all heads at once a slab may be twice as large: less than eight rows make poor products.
        return 2 * AUTOGRAD_NUMBERS // heads
    return AUTOGRAD_NUMBERS if _learns_alpha(spec) else SLAB_NUMBERS


def slabs_held(spec: Pairwise, gradients: bool) -> float:
    """Slabs held at the peak, as measured at 4,096 tokens; a user's own parts are taken for dear."""
    if not gradients:
        return 4.0 if not spec.refine else 8.0
    held = 4.0
    if _learns_alpha(spec):
        held += 110.0
    if type(spec.score) not in SCORES or type(spec.normalizer) not in NORMALIZERS:
        held += 20.0
    return held + sum(_held_by(part) for part in spec.refine)


def _learns_alpha(spec: Pairwise) -> bool:
    return isinstance(spec.normalizer, Entmax) and spec.normalizer.alpha is None


def _held_by(part: Refinement) -> float:
    if isinstance(part, Convolution):
        return 6.0 + 2.5 * part.queries * part.keys
    known = {HeadGate: 6.0, Temperature: 8.0, TalkingHeads: 24.0, Recurrent: 10.0, Span: 14.0}
    return known.get(type(part), 15.0)
