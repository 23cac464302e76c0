"""The kernel `rows`: any pairwise operator at linear memory."""

from torch import Tensor

from attnkit.attention.base import Attention
from attnkit.attention.normalizer import NORMALIZERS
from attnkit.attention.pairwise import Pairwise
from attnkit.attention.position import POSITIONS
from attnkit.attention.refine import REFINEMENTS, Recurrent
from attnkit.attention.score import SCORES, Additive
from attnkit.kernels.cost import Cost
from attnkit.kernels.kernel import Call, Kernel
from attnkit.kernels.lowered import lowered
from attnkit.kernels.partition import Slab, partition
from attnkit.kernels.rows.engine import Job, Rowed
from attnkit.kernels.rows.held import slab_numbers, slabs_held, whole_heads
from attnkit.kernels.rows.place import HEIGHTS, STARTING_PAIRS
from attnkit.kernels.rows.program import fresh_seed
from attnkit.kernels.sdpa import prepared_bytes, results_bytes
from attnkit.kernels.situation import Situation
from attnkit.kernels.toeplitz import is_distance_bias

# Below so many pairs an item, all heads counted, starting slabs costs more than the map does.
SMALLEST = 1 << 15


class Rows(Kernel):
    """Scores, normalizes and weighs a slab of queries at a time, and makes each slab again in the backward pass.

    Parts of ours go through stages written by hand; a score, normalizer or refinement of a user's own through autograd
    within the slab. Dropout is a function of a seed and of where a pair stands, and so the same in both directions.

    Source: Rabe and Staats (2021), Self-attention does not need O(n^2) memory; Chen et al. (2016), for the recomputing.
    Cost: 7/2 times the forward pass' products for both directions; memory linear in T and S.
    """

    name = "rows"
    opaque = True

    def fits(self, spec: Attention, situation: Situation) -> str | None:
        """Any operator of which each row of the map can be made from its own query, and a few beside it."""
        if not isinstance(spec, Pairwise) or type(spec).matrix is not Pairwise.matrix:
            return f"{type(spec).__name__} is not made of scores for pairs"
        for part in spec.refine:
            if part.rows_read is None:
                return f"the refinement {type(part).__name__} does not say which other rows it reads (rows_read)"
        if situation.intent == "export":
            return "an exported graph has no slabs of a size that is not known yet"
        return None

    def pays(self, spec: Attention, situation: Situation) -> str | None:
        """Not for a map that is small."""
        assert situation.T is not None and situation.S is not None
        pairs = situation.heads * situation.T * situation.S
        if pairs < SMALLEST:
            return f"the map of an item has {pairs} numbers only, and is sooner made whole"
        return None

    def cost(self, spec: Attention, situation: Situation) -> Cost:
        """Results, prepared queries, keys and values, and slabs: a few, or as many as autograd holds of one."""
        assert isinstance(spec, Pairwise)
        assert situation.batch is not None and situation.T is not None and situation.S is not None
        B, H, T, S = situation.batch, situation.heads, situation.T, situation.S
        D, E = situation.width, situation.value_width
        slabs = _slabs(spec, H, T, S, situation.aligned)
        pairs = B * H * sum(slab.pairs for slab in slabs)
        width = spec.score.hidden if type(spec.score) is Additive else D
        work = pairs * (width + E) * (7 if situation.needs_grad else 2) // 2
        wide = max(situation.itemsize, 4)
        slab = max((slab.pairs for slab in slabs), default=0) * (H if whole_heads(spec) else 1)
        factors = B * H * (T + S) * width * (2 if situation.needs_grad else 1) if type(spec.score) is Additive else 0
        turned = 2 * B * H * T * D if is_distance_bias(spec.position) else 0
        held = results_bytes(situation) * (3 if situation.needs_grad else 2) // 2 + prepared_bytes(spec, situation)
        return Cost(work, held + int((slabs_held(spec, situation.needs_grad) * slab + factors + turned) * wide))

    def run(self, spec: Attention, call: Call) -> Tensor:
        """out_BHTE."""
        assert isinstance(spec, Pairwise)
        call = lowered(call)
        seed = fresh_seed(call.generator) if call.dropout else None
        read = [part.rows_read or (0, 0) for part in spec.refine]
        beyond = sum(above for above, _ in read), sum(below for _, below in read)
        slabs = _slabs(spec, call.q_BHTD.shape[1], call.where.T, call.where.S, call.where.aligned)
        reverse = call.where.aligned and is_distance_bias(spec.position) and not spec.refine
        if reverse:
            slabs = tuple(slab.reversed(call.where.T) for slab in slabs)
        job = Job(spec, call.where, tuple(call.params), call.dropout, seed, slabs, beyond, reverse)
        out: Tensor = Rowed.apply(job, call.q_BHTD, call.k_BGSD, call.v_BGSE, call.state, *call.params.values())
        return out


def _slabs(spec: Pairwise, heads: int, T: int, S: int, aligned: bool) -> tuple[Slab, ...]:
    """Slabs of which one fits a core's cache; keys out of reach are left out where no part could miss them."""
    most = slab_numbers(spec, heads)
    heights = tuple(height for height in HEIGHTS if height * S <= most) or HEIGHTS[:1]
    return partition(spec.pattern, T, S, aligned and _narrows(spec), heights, STARTING_PAIRS)


def _narrows(spec: Pairwise) -> bool:
    """True where every part is one of ours, and none of them looks at keys that may not be met."""
    known = {*SCORES, *POSITIONS, *NORMALIZERS, *REFINEMENTS} - {Recurrent}
    return {type(spec.score), type(spec.position), type(spec.normalizer), *map(type, spec.refine)} <= known
