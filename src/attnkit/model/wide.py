"""The wide branch: an attention over the n-grams of a text, whose values begin as those of naive Bayes."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attnkit.attention.pairwise import Pairwise
from attnkit.attention.score.dot import Dot
from attnkit.attention.where import Where
from attnkit.kernels.attend import attend
from attnkit.kernels.packed import Pieces, pool_packed
from attnkit.layers.taps import Tappable
from attnkit.model.embedding import SEPARATOR
from attnkit.model.ngram_rows import NgramRows, shares

SPEC = Pairwise(score=Dot())
# One learning rate serves the whole network: a number that must move k times as far is stored divided by k.
_FACTOR_SPEED, _SCORE_SPEED = 15.0, 5.0
_FIRST_SCALE = 10.0
_TINY = 1e-30


class NgramFeatures(nn.Module):
    """x_BTM, M = N (1 + C): for n = 1..N the weight u of the n words that end at t, then u v with their value v_C.

    u = exp(s_g) / (times that the n-gram g stands in the text), so that each of its n-grams counts once; 0 where g was
    not met in training. v_gc = w_gc r_gc: `ratio` r is what naive Bayes makes of the training rows (`fit` in
    naive_bayes.py), and s and w are learned, from 0 and 1.

    While training `own_B` may hold the class of each text of a padded batch: r is then what the other training rows
    say, so that an n-gram does not know a text by having stood in it. To take a text of class c out of r_gc =
    log(n_gc / p_c + m) - mean_g, `mean`, `share` p and `least` m are kept beside it.
    """

    ratio: Tensor
    mean: Tensor
    share: Tensor
    least: Tensor

    def __init__(self, rows: NgramRows, outputs: int, dropout: float, leave_one_out: bool = True) -> None:
        super().__init__()
        count = rows.vocabulary_size + len(rows.keys)
        self.rows, self.dropout, self.leave_one_out = rows, dropout, leave_one_out
        self.register_buffer("ratio", torch.zeros(count, outputs))
        self.register_buffer("mean", torch.zeros(count))
        self.register_buffer("share", torch.ones(outputs))
        self.register_buffer("least", torch.zeros(()))
        self.own_B: Tensor | None = None
        self.factor = nn.Embedding(count, outputs)
        self.score = nn.Embedding(count, 1)
        nn.init.zeros_(self.factor.weight)
        nn.init.zeros_(self.score.weight)

    def forward(self, ids_BT: Tensor, real: Tensor | Pieces) -> Tensor:
        rows_BTN = self.rows(ids_BT, real)
        dropout = self.dropout if self.training else 0.0
        share_BTN = torch.stack([shares(rows_BT, real, dropout) for rows_BT in rows_BTN.unbind(-1)], -1)
        weight_BTN1 = share_BTN.unsqueeze(-1) * (_SCORE_SPEED * self.score(rows_BTN)).exp()
        value_BTNC = self._ratios(rows_BTN, real) * (1 + _FACTOR_SPEED * self.factor(rows_BTN))
        return torch.cat([weight_BTN1, weight_BTN1 * value_BTNC], -1).flatten(-2)

    def _ratios(self, rows_BTN: Tensor, real: Tensor | Pieces) -> Tensor:
        ratio_BTNC = self.ratio[rows_BTN]
        if self.own_B is None or not self.training:
            return ratio_BTNC
        own_BT = self.own_B.unsqueeze(-1)
        if isinstance(real, Pieces):
            own_BT = self.own_B.repeat_interleave(torch.tensor(real.lengths)).unsqueeze(0)
            own_BT = F.pad(own_BT, (0, real.spare))
        own_BTN = own_BT.unsqueeze(-1).expand_as(rows_BTN)
        with_BTN = ratio_BTNC.gather(-1, own_BTN.unsqueeze(-1)).squeeze(-1) + self.mean[rows_BTN]
        left_BTN = with_BTN.exp() - 1 / self.share[own_BTN]
        # An n-gram that was put into the text by noise was not counted there, and has nothing to take out.
        counted_BTN = (left_BTN > 0.99 * self.least) & (rows_BTN > SEPARATOR)
        less_BTN1 = torch.where(counted_BTN, left_BTN.clamp(min=_TINY).log() - with_BTN, 0.0).unsqueeze(-1)
        shift_BTNC = -less_BTN1 / ratio_BTNC.shape[-1]
        return ratio_BTNC + shift_BTNC.expand_as(ratio_BTNC).scatter_add(-1, own_BTN.unsqueeze(-1), less_BTN1)


class WideNgrams(Tappable):
    """logits_BC = scale * sum_g a_g v_g, with a = softmax(s_g) over the different n-grams g of the text.

    Computed as an attention over its words: the key of word t is log sum_n u_tn and its value the mean of the values
    of the n-grams that end there, weighed by u; what the map shows of a word is the weight of those n-grams together.
    A text without a known n-gram gets zeros. In float32 under autocast too, as weights are exponentials.

    Source: Wang and Manning (2012), section 2 (the values); wide beside deep: Cheng et al. (2016), section 3.
    Cost: N (C + 1) numbers a word are looked up.
    """

    def __init__(self, rows: NgramRows, outputs: int, dropout: float, leave_one_out: bool = True) -> None:
        super().__init__()
        self.features = NgramFeatures(rows, outputs, dropout, leave_one_out)
        self.longest, self.outputs = rows.longest, outputs
        self.log_scale = nn.Parameter(torch.zeros(()))
        self.spec = SPEC

    def forward(self, ids_BT: Tensor, real: Tensor | Pieces) -> Tensor:
        if torch.is_autocast_enabled(ids_BT.device.type):
            with torch.autocast(ids_BT.device.type, enabled=False):
                return self._logits(ids_BT, real)
        return self._logits(ids_BT, real)

    def _logits(self, ids_BT: Tensor, real: Tensor | Pieces) -> Tensor:
        x_BTX = self.features(ids_BT, real).unflatten(-1, (self.longest, 1 + self.outputs)).sum(-2)
        # Padding and words without a known n-gram keep a key far below all others.
        weight_BT1 = x_BTX[..., :1].clamp(min=_TINY)
        k_B1T1, v_B1TC = weight_BT1.log().unsqueeze(1), (x_BTX[..., 1:] / weight_BT1).unsqueeze(1)
        return _FIRST_SCALE * self.log_scale.exp() * self._attended(k_B1T1, v_B1TC, real)

    def _attended(self, k_B1T1: Tensor, v_B1TC: Tensor, real: Tensor | Pieces) -> Tensor:
        q_1111 = k_B1T1.new_ones(1, 1, 1, 1)
        if isinstance(real, Pieces):
            if self._tap is not None:
                raise ValueError("a packed row cannot be listened to, as it has no map of its own; pad it")
            return pool_packed(q_1111, k_B1T1, v_B1TC, SPEC, pieces=real).flatten(1)
        B, _, T, _ = k_B1T1.shape
        q_B111 = q_1111.expand(B, -1, -1, -1)
        last = (real * torch.arange(T, device=real.device)).amax(-1, keepdim=True)
        where = Where.of(1, T, keep=real, query_position=last, device=real.device)
        mixed_B11C = attend(q_B111, k_B1T1, v_B1TC, SPEC, where=where)
        self._record(SPEC, q_B111, k_B1T1, v_B1TC, where, {}, None, mixed_B11C)
        return mixed_B11C.flatten(1)
