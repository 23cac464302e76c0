"""The additive score of a slab, with one exponential a query and one a key instead of one a pair."""

import ctypes
import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from attnkit.attention.part import Params
from attnkit.kernels import native
from attnkit.kernels.rows.place import Place, Space
from attnkit.kernels.rows.stage import Stage

# How t = tanh(a + b) is come by; the numbers are those of native/additive.h.
SUM, PRODUCT, WIDE = 0, 1, 2
# Numbers of a temporary (hidden, queries, keys) in plain PyTorch: a block of pairs stays in a core's cache.
BLOCK_NUMBERS = 1 << 18
BLOCK_KEYS = 256
# exp(-44) is lost beside 1 in double precision too: 64 ln 2, as in native/additive.h.
WIDEST = 44.0
# Keys of a strip, and how far the native loops read behind the last key, as in native/arguments.h.
STRIP_KEYS = 256
BEHIND = 31


@dataclass(frozen=True, eq=False)
class AdditiveFactors:
    """scores_ts = sum_h v_h tanh(a_th + b_sh) of one head, from numbers made once a query and once a key.

    With P = exp(-2 a) exp(-2 b) and y = 1 / (1 + P), tanh(a + b) = y - P y and 1 - tanh^2 = 4 y P y: exact to rounding
    as long as no product leaves the normal numbers (|a| + |b| < 43 in float32). Beyond, mantissas and powers of two
    are kept apart, or P is taken of each sum. Near zero, where the difference loses what is small,
    tanh(a + b) = (tanh a + tanh b) / (1 + tanh a tanh b). `form` says which.

    Source: Bahdanau, Cho and Bengio (2015), for the score; the theorem of addition of the hyperbolic tangent.
    Cost: (T + S) x hidden exponentials, a division and some multiply-adds a pair and hidden unit; memory linear.
    """

    form: int
    a_TA: Tensor
    b_AS: Tensor
    v_A: Tensor
    a_power_TA: Tensor
    b_power_AS: Tensor
    loops: ctypes.CDLL | None

    @staticmethod
    def of(a_TA: Tensor, b_SA: Tensor, v_A: Tensor) -> "AdditiveFactors":
        """Prepared for any slab of these queries and keys; native where the loops are there and the type is float32."""
        a, b, v = a_TA.detach(), b_SA.detach(), v_A.detach().contiguous()
        ours = all(x.device.type == "cpu" and x.dtype == torch.float32 for x in (a, b, v))
        loops = native.library() if ours else None
        form = _form(a, b)
        at, bt = a.new_empty(a.shape), _padded(b)
        if form == WIDE and loops is not None:
            a_power, b_power = torch.empty_like(at), _padded(b)
            _mantissas(a, at, a_power)
            _mantissas(b.mT, bt, b_power)
            return AdditiveFactors(form, at, bt, v, a_power, b_power, loops)
        for x, out in ((a, at), (b.mT, bt)):
            if form == SUM:
                torch.tanh(x, out=out)
            elif form == PRODUCT:
                out.copy_(x).mul_(-2.0).exp_()
            else:
                out.copy_(x).mul_(-2.0)
        return AdditiveFactors(form, at, bt, v, at, bt, loops)

    def scores(self, out_RS: Tensor, rows: slice, columns: slice, space: Space) -> Tensor:
        """The scores of queries `rows` with keys `columns`, into `out_RS`.

        Raises: ValueError where the numbers of a row do not lie one after the other, or are of another type.
        """
        if out_RS.dtype != self.v_A.dtype or (out_RS.shape[-1] > 1 and out_RS.stride(-1) != 1):
            raise ValueError(
                f"scores go into rows of {self.v_A.dtype} one number after the other; got {out_RS.dtype} with strides "
                f"{out_RS.stride()}; give a slice of a contiguous tensor"
            )
        if self.loops is not None:
            self.loops.attnkit_additive(
                *self._pointers(rows, columns),
                out_RS.data_ptr(),
                out_RS.stride(0),
                out_RS.shape[0],
                native.threads(),
            )
            return out_RS
        for some, those in self._blocks(rows, columns):
            t_ARS = self._tanh(some, those, space)
            flat = space.take("additive scores", (t_ARS[0].numel(),))
            torch.mv(t_ARS.flatten(1).mT, self.v_A, out=flat)
            _part(out_RS, some, those, rows, columns).copy_(flat.view(t_ARS.shape[1:]))
        return out_RS

    def backward(
        self,
        grad_RS: Tensor,
        rows: slice,
        columns: slice,
        d_a_TA: Tensor | None,
        d_b_SA: Tensor | None,
        d_v_A: Tensor | None,
        space: Space,
    ) -> None:
        """Adds to the gradients of a, b and v, of all queries and keys, what the slab's scores hand back.

        With t = tanh(a + b): d_a_th += v_h sum_s g_ts (1 - t^2), d_b_sh += v_h sum_t g_ts (1 - t^2),
        d_v_h += sum_ts g_ts t. Soonest where `d_b_SA` is laid down key after key, as the transpose of (hidden, S).
        """
        if self.loops is not None:
            self._native_backward(grad_RS, rows, columns, d_a_TA, d_b_SA, d_v_A, space)
            return
        v = self.v_A if self.form == SUM else 4.0 * self.v_A
        for some, those in self._blocks(rows, columns):
            shape = (v.shape[0], some.stop - some.start, those.stop - those.start)
            grad = space.take("additive grad", shape[1:]).copy_(_part(grad_RS, some, those, rows, columns))
            if self.form == SUM:
                t = self._tanh(some, those, space)
                # g (1 - t^2) = g - (g t) t
                w = torch.mul(t, grad, out=space.take("additive more", shape))
                w = torch.addcmul(grad, w, t, value=-1.0, out=w)
            else:
                p = self._product(some, those, space)
                y = torch.add(p, 1.0, out=space.take("additive more", shape)).reciprocal_()
                rest = p.mul_(y)
                t = torch.sub(y, rest, out=space.take("additive tanh", shape))
                w = y.mul_(rest).mul_(grad)
            if d_v_A is not None:
                # Not one product of a matrix and a vector, which adds up so many numbers less exactly.
                d_v_A += t.mul_(grad).flatten(1).sum(1)
            if d_a_TA is not None:
                d_a_TA[some].addcmul_(w.sum(2).mT, v)
            if d_b_SA is not None:
                d_b_SA[those].addcmul_(w.sum(1).mT, v)

    def _native_backward(
        self,
        grad_RS: Tensor,
        rows: slice,
        columns: slice,
        d_a_TA: Tensor | None,
        d_b_SA: Tensor | None,
        d_v_A: Tensor | None,
        space: Space,
    ) -> None:
        assert self.loops is not None
        if not native.plain(grad_RS):
            grad_RS = grad_RS.to(self.v_A.dtype).contiguous()
        height, width, hidden = *grad_RS.shape, self.v_A.shape[0]
        strips = -(-width // STRIP_KEYS)
        to_a = space.take("additive a", (strips, height, hidden))
        to_v = space.take("additive v", (strips, hidden))
        in_place = d_b_SA is not None and d_b_SA.stride(0) == 1 and d_b_SA.dtype == torch.float32
        if in_place:
            assert d_b_SA is not None
            to_b = d_b_SA[columns].mT
        else:
            to_b = space.take("additive b", (hidden, width)).zero_()
        self.loops.attnkit_additive_backward(
            *self._pointers(rows, columns),
            grad_RS.data_ptr(),
            grad_RS.stride(0),
            height,
            to_a.data_ptr(),
            to_b.data_ptr(),
            to_b.stride(0),
            to_v.data_ptr(),
            native.threads(),
        )
        if d_a_TA is not None:
            d_a_TA[rows] += to_a[0] if strips == 1 else to_a.sum(0)
        if d_v_A is not None:
            d_v_A += to_v.sum(0)
        if d_b_SA is not None and not in_place:
            d_b_SA[columns] += to_b.mT

    def _pointers(self, rows: slice, columns: slice) -> tuple[int, ...]:
        """What both native loops are given first."""
        hidden, size = self.v_A.shape[0], self.a_TA.element_size()
        of_a, of_b = rows.start * hidden * size, columns.start * size
        return (
            self.a_TA.data_ptr() + of_a,
            self.a_power_TA.data_ptr() + of_a,
            self.b_AS.data_ptr() + of_b,
            self.b_power_AS.data_ptr() + of_b,
            self.b_AS.stride(0),
            self.v_A.data_ptr(),
            hidden,
            columns.stop - columns.start,
            self.form,
        )

    def _blocks(self, rows: slice, columns: slice) -> Iterator[tuple[slice, slice]]:
        """Blocks of pairs whose temporary stays in a core's cache."""
        width = max(1, min(columns.stop - columns.start, BLOCK_KEYS, BLOCK_NUMBERS // self.v_A.shape[0]))
        height = max(1, BLOCK_NUMBERS // (self.v_A.shape[0] * width))
        for key in range(columns.start, columns.stop, width):
            for row in range(rows.start, rows.stop, height):
                yield slice(row, min(row + height, rows.stop)), slice(key, min(key + width, columns.stop))

    def _product(self, rows: slice, columns: slice, space: Space) -> Tensor:
        """P_ARS of a block, hidden units first, so that both factors are read in order."""
        a, b = self.a_TA[rows].mT[:, :, None], self.b_AS[:, None, columns]
        p = space.take("additive", (a.shape[0], a.shape[1], b.shape[2]))
        if self.form == WIDE:
            return torch.add(a, b, out=p).clamp_(-WIDEST, WIDEST).exp_()
        return torch.mul(a, b, out=p)

    def _tanh(self, rows: slice, columns: slice, space: Space) -> Tensor:
        """t_ARS of a block; 2 y - 1 rather than y - P y, since it needs one temporary only."""
        y = self._product(rows, columns, space).add_(1.0).reciprocal_()
        if self.form == SUM:
            t = space.take("additive tanh", tuple(y.shape))
            return torch.add(self.a_TA[rows].mT[:, :, None], self.b_AS[:, None, columns], out=t).mul_(y)
        return torch.add(y.new_tensor(-1.0), y, alpha=2.0, out=y)


class AdditiveScore(Stage):
    """x_rs = sum_h v_h tanh(a_rh + b_sh); a is (B, H, T, hidden), b (B, H, S, hidden) and v (H, hidden)."""

    def __init__(self, a_BHTA: Tensor, b_BHSA: Tensor, v_HA: Tensor) -> None:
        super().__init__((a_BHTA, b_BHSA, v_HA))
        self._item = -1
        self._of_head: dict[int, AdditiveFactors] = {}

    def forward(self, x_HRS: Tensor, place: Place, space: Space, keep: bool) -> Tensor:
        """Head by head."""
        x = space.take("scores", place.shape)
        for index, head in enumerate(range(place.heads.start, place.heads.stop)):
            self._factors(place.item, head).scores(x[index], place.rows, place.columns, space)
        return x

    def backward(self, grad_HRS: Tensor, place: Place, space: Space) -> Tensor:
        """Head by head, the hyperbolic tangents taken once more."""
        if all(grad is None for grad in self.grads):
            return grad_HRS
        for index, head in enumerate(range(place.heads.start, place.heads.stop)):
            d_a, d_b, d_v = self.grads
            self._factors(place.item, head).backward(
                grad_HRS[index],
                place.rows,
                place.columns,
                None if d_a is None else d_a[place.item, head],
                None if d_b is None else d_b[place.item, head],
                None if d_v is None else d_v[head],
                space,
            )
        return grad_HRS

    def _factors(self, item: int, head: int) -> AdditiveFactors:
        """Those of a head, kept while its item lasts."""
        if item != self._item:
            self._item = item
            self._of_head.clear()
        if head not in self._of_head:
            a, b, v = self.tensors
            self._of_head[head] = AdditiveFactors.of(a[item, head], b[item, head], v[head])
        return self._of_head[head]


def additive_score(q_BHTD: Tensor, k_BHSD: Tensor, params: Params) -> AdditiveScore:
    """The stage of `Additive` with its own parameters; the projections are recorded by autograd."""
    a = q_BHTD @ params["w_q"] + params["b"][:, None]
    return AdditiveScore(a, k_BHSD @ params["w_k"], params["v"])


def _form(a_TA: Tensor, b_SA: Tensor) -> int:
    """SUM where no number is above one, PRODUCT where no product overflows, else WIDE."""
    largest_a, largest_b = (float(x.abs().amax()) if x.numel() else 0.0 for x in (a_TA, b_SA))
    if max(largest_a, largest_b) <= 1.0:
        return SUM
    # The margin of 3 leaves reciprocals among the normal numbers.
    limit = (math.log(torch.finfo(a_TA.dtype).max) - 3.0) / 2.0
    return PRODUCT if largest_a + largest_b <= limit else WIDE


def _padded(b_SA: Tensor) -> Tensor:
    """Room for (hidden, S): rows an odd number of cache lines apart, with numbers behind them that suit every form.

    With a power of two between them, all hidden units of a key would fall into the same few places of the cache.
    """
    S, hidden = b_SA.shape
    lines = -(-(S + BEHIND) // 16) | 1
    return b_SA.new_full((hidden, lines * 16), 0.5)[:, :S]


def _mantissas(x: Tensor, mantissa: Tensor, power: Tensor) -> None:
    """exp(-2 x) = mantissa * 2^power, the mantissa near 1; in double precision, since x may be large."""
    exponent = x.double() * (-2.0 / math.log(2.0))
    power.copy_(exponent.round())
    mantissa.copy_((exponent - exponent.round()).exp2_())


def _part(x_RS: Tensor, some: slice, those: slice, rows: slice, columns: slice) -> Tensor:
    """A block of a slab, both counted from the first query and key of all."""
    return x_RS[
        some.start - rows.start : some.stop - rows.start, those.start - columns.start : those.stop - columns.start
    ]
