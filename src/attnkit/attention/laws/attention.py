"""check_attention: the laws, run on anyone's attention."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from attnkit.attention.base import Claims
from attnkit.attention.laws import masks, matrix, numbers
from attnkit.attention.laws.draws import Size, draw_sizes
from attnkit.attention.laws.numbers import Dropped
from attnkit.attention.laws.report import Report, judge
from attnkit.attention.laws.subject import Call, Facts, subject_of
from attnkit.attention.laws.trial import Trial
from attnkit.attention.part import Dims

LAWS: dict[str, Callable[[Trial], str | None]] = {
    "mix equals matrix @ v": matrix.linear_in_values,
    "identity values read out the matrix": matrix.identity_reads_out,
    "shared heads equal repeated heads": matrix.shares_heads,
    "rows sum to one": matrix.rows_sum_to_one,
    "weights are not negative": matrix.nonnegative,
    "causal": matrix.causal,
    "shuffled keys are inert": matrix.order_free,
    "the future does not leak": masks.future_is_inert,
    "padding is inert": masks.padding_is_inert,
    "masked keys are inert": masks.masked_keys_are_inert,
    "a row that sees nothing is zero": masks.empty_rows_are_zero,
    "batch items are independent": masks.batch_is_independent,
    "the window is exact": masks.window_is_exact,
    "step by step equals the whole": masks.steps_equal_whole,
    "gradients": numbers.gradients,
    "double backward": numbers.double_backward,
    "float32 within the error budget": numbers.precision(torch.float32),
    "bfloat16 within the error budget": numbers.precision(torch.bfloat16),
}


def check_attention(
    fn: Any,
    claims: Claims | Facts | None = None,
    call: Call | None = None,
    *,
    params: Mapping[str, Tensor] | None = None,
    dims: Dims = Dims(heads=2, width=4, value_width=4),  # noqa: B008 - a frozen value
    sizes: Sequence[Size] | None = None,
    witness_tokens: int | None = None,
    dropout: Dropped | None = None,
    generator: torch.Generator | None = None,
) -> Report:
    """Hold an attention to the laws, and say of each whether it passed, failed or does not apply.

    `fn` is one of our operators or layers, or anyone's function or module with an adapter `call(fn, q_BHTD, k_BHSD,
    v_BHSE, where) -> out_BHTE` that obeys `where.keep` (B, S) and raises NotImplementedError where `fn` has no such
    input. A module is copied and examined in evaluation mode; an adapter may call `fn.train()` on the copy.
    Ours are held to their own `claims()`, with parameters drawn away from where they begin unless `params` are given;
    a claim they do not make must be seen to fail, at `witness_tokens` where given. Of theirs, `Facts` say what is
    claimed. `dropout(q, k, v, where, rate, generator)` is the same attention with dropout on its weights. Sizes are
    drawn from `generator` (seed 0) unless given as (T, S) pairs.

    Raises: ValueError where `fn` is neither one of our operators nor callable.
    """
    generator = torch.Generator().manual_seed(0) if generator is None else generator
    subject = subject_of(fn, claims, call, None if params is None else dict(params), dims, generator)
    longest = 24 if witness_tokens is None else witness_tokens
    tried = tuple(sizes) if sizes is not None else draw_sizes(generator, longest)
    # A wide window shows what it is only on a sequence that is wider.
    lengths = (24, 96, 384) if witness_tokens is None else (witness_tokens,)
    witnesses = (*tried, *((n, n) for n in lengths))
    trial = Trial(subject, tried, witnesses, generator)
    laws = [(name, partial(law, trial)) for name, law in LAWS.items()]
    laws.append(("dropout is unbiased", partial(numbers.dropout_is_unbiased, trial, dropout)))
    return judge(subject.name, laws)
