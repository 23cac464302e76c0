"""What a slab holds: how many numbers a pair, by the parts that go through autograd."""

from attnkit.attention.normalizer import NORMALIZERS, Entmax
from attnkit.attention.pairwise import Pairwise
from attnkit.attention.refine import Convolution, HeadGate, Recurrent, Span, TalkingHeads, Temperature
from attnkit.attention.refine.base import Refinement
from attnkit.attention.score import SCORES


def whole_heads(spec: Pairwise) -> bool:
    """True where a part goes through autograd with all heads at once: a refinement, or a user's own."""
    own = type(spec.score) not in SCORES or type(spec.normalizer) not in NORMALIZERS
    return own or bool(spec.refine)


def slabs_held(spec: Pairwise, gradients: bool) -> float:
    """Slabs held at the peak, as measured at 4,096 tokens; a user's own parts are taken for dear."""
    if not gradients:
        return 4.0 if not spec.refine else 8.0
    held = 4.0
    if type(spec.normalizer) is Entmax and spec.normalizer.alpha is None:
        held += 110.0
    if type(spec.score) not in SCORES or type(spec.normalizer) not in NORMALIZERS:
        held += 20.0
    return held + sum(_held_by(part) for part in spec.refine)


def _held_by(part: Refinement) -> float:
    if isinstance(part, Convolution):
        return 6.0 + 2.5 * part.queries * part.keys
    known = {HeadGate: 6.0, Temperature: 8.0, TalkingHeads: 10.0, Recurrent: 10.0, Span: 14.0}
    return known.get(type(part), 15.0)
