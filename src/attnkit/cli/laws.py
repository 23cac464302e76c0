"""attn laws: hold an attention, ours or yours, to the laws of attention."""

from typing import Annotated, Literal

from cyclopts import Parameter

from attnkit.cli.options import Json
from attnkit.cli.terminal import complain, say, show_json, show_table
from attnkit.cli.user_code import load_target
from attnkit.errors import UsageError

ClaimName = Literal["rows-sum-to-one", "nonnegative", "causal", "order-free"]


def laws(
    target: Annotated[str, Parameter(help="A catalogue name, or `module:callable` found from the current folder.")],
    /,
    *,
    call: Annotated[
        str | None, Parameter(help="`module:adapter` of (fn, q, k, v, where) or (fn, scores, allowed).")
    ] = None,
    claim: Annotated[
        tuple[ClaimName, ...], Parameter(help="What yours promises; may be repeated.", show_default=False)
    ] = (),
    window: Annotated[int | None, Parameter(help="Number of keys that each query of yours sees.")] = None,
    normalizer: Annotated[
        bool, Parameter(help="It turns scores into weights: (scores, allowed).", show_default=False)
    ] = False,
    seed: Annotated[int, Parameter(help="Seed of the sizes and numbers it is tried on.")] = 0,
    json: Json = False,
) -> int:
    """Run every law on an attention, and say which hold, which fail (exit code 1) and which do not apply.

    Yours gets (q, k, v, where), tensors as (batch, heads, length, width); where.keep is the padding mask, True = keep.

    For example:

        attn laws longformer
        attn laws my_attention:attend --claim rows-sum-to-one --claim nonnegative
        attn laws my_attention:Module --call my_attention:adapter --window 8
        attn laws my_attention:my_softmax --normalizer
    """
    import torch

    from attnkit.attention.catalogue import named
    from attnkit.attention.laws import Facts, check_attention, check_normalizer

    generator = torch.Generator().manual_seed(seed)
    facts = {name.replace("-", "_"): True for name in claim}
    try:
        fn = load_target(target) if ":" in target else named(target)
        adapter = load_target(call) if call else None
        claims = Facts(window=window, **facts) if claim or window is not None else None
        if normalizer and claims:
            raise UsageError("--claim and --window are about an attention, not a normalizer; leave them out")
        if normalizer:
            report = check_normalizer(fn, adapter, generator=generator)
        else:
            report = check_attention(fn, claims, adapter, generator=generator)
    except ValueError as error:
        raise UsageError(str(error)) from error
    if json:
        show_json(report.to_dict())
    else:
        show_table(("law", "state", "seen"), [(row.law, row.status, row.detail) for row in report.rows])
    if not report.ok:
        return complain(f"{target} breaks {len(report.failed)} of {len(report.rows)} laws; the table says how.")
    if not json:
        say("", f"{target}: every law that applies holds.")
    return 0
