"""Steps of one layer made one: the queries end to end, on the keys of the last step."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from attnkit.attention.base import Attention
from attnkit.attention.pairwise import Pairwise
from attnkit.attention.part import Params, scoped
from attnkit.attention.pattern import Full
from attnkit.attention.where import Where
from attnkit.capture.captured import CapturedLayer, Check
from attnkit.capture.statistics import STATISTICS
from attnkit.layers.model_operator import GivenBias
from attnkit.layers.taps import Seen


@dataclass(frozen=True, eq=False)
class Step:
    """One call of a layer: what it came to, with the keys from position `forgotten` on."""

    seen: Seen
    forgotten: int = 0


def stitched(steps: Sequence[Step], keep_BS: Tensor | None) -> Seen:
    """The whole of which these are the steps; `keep_BS` are the real ones of the last step's keys and those before it.

    Raises: ValueError where the operator changed from step to step, or is none of pairs and not causal.
    """
    parts = [one.seen for one in steps]
    last = parts[-1]
    k, v = _grown([one.seen.k_BGSD for one in steps], steps), _grown([one.seen.v_BGSE for one in steps], steps)
    T, S = sum(one.where.T for one in parts), k.shape[2]
    where = _where(parts, T, S, keep_BS)
    spec, params = _operator(steps, where, S)
    q, out = (torch.cat(of, dim=2) for of in ([x.q_BHTD for x in parts], [x.out_BHTE for x in parts]))
    return Seen(last.name, spec, q, k, v, where, params, None, out)


def _grown(steps_BGSD: Sequence[Tensor], steps: Sequence[Step]) -> Tensor:
    """All keys (or values): those of the last step, and before them what it no longer holds."""
    found = steps_BGSD[0]
    for x, step in zip(steps_BGSD[1:], steps[1:], strict=True):
        found = x if step.forgotten == 0 else torch.cat([found[:, :, : step.forgotten], x], dim=2)
    return found


def _where(parts: Sequence[Seen], T: int, S: int, keep_BS: Tensor | None) -> Where:
    wheres = [one.where for one in parts]
    query_keep = None
    if any(one.query_keep is not None for one in wheres):
        B = max(one.q_BHTD.shape[0] for one in parts)
        rows = [
            one.key_position.new_ones(1, one.T).bool() if one.query_keep is None else one.query_keep for one in wheres
        ]
        query_keep = torch.cat([one.expand(B, -1) for one in rows], dim=1)
    positions = [one.query_position for one in wheres]
    if any(one.dim() > 1 for one in positions):
        raise ValueError("texts that are packed end to end are not stitched; give them a row each")
    position, device = torch.cat(positions), positions[0].device
    if torch.equal(position, torch.arange(T, device=device) + (S - T)):
        return Where.of(T, S, keep=keep_BS, query_keep=query_keep, device=device)
    keys = torch.arange(S, device=device)
    return Where.of(T, S, keep=keep_BS, query_keep=query_keep, query_position=position, key_position=keys)


def _operator(steps: Sequence[Step], where: Where, S: int) -> tuple[Attention, Params]:
    """One operator for all steps: their own where it is the same, else one that each step's pairs are handed to."""
    parts = [one.seen for one in steps]
    spec, params = _one_rule(steps, where), parts[-1].params
    whole = spec is not None
    spec = parts[-1].spec if spec is None else spec
    biased = any("position.bias" in one.params for one in parts)
    if whole and not biased:
        return spec, params
    if not all(isinstance(one.spec, Pairwise) for one in parts):
        raise ValueError(f"{parts[0].name}: steps by {parts[0].spec} and {spec} do not come to one operator")
    given = torch.cat([_row_block(one, S, whole) for one in steps], dim=2)
    assert isinstance(spec, Pairwise)
    position = spec.position if isinstance(spec.position, GivenBias) else GivenBias(spec.position)
    if not isinstance(spec.position, GivenBias):
        own = scoped(params, "position")
        params = {name: value for name, value in params.items() if not name.startswith("position.")}
        params |= {f"position.own.{name}": value for name, value in own.items()}
    origin = torch.stack((where.query_position[0], where.key_position[0]))
    params = dict(params) | {"position.bias": given, "position.origin": origin}
    return replace(spec, position=position, pattern=spec.pattern if whole else Full()), params


def _one_rule(steps: Sequence[Step], where: Where) -> Attention | None:
    """The operator of one of the steps whose pattern lets the pairs of all of them meet and no others, if one is."""
    specs = [one.seen.spec for one in steps]
    for spec in dict.fromkeys(specs):
        if all(_same_pairs(spec, step, where) for step in steps):
            return spec
    return None


def _same_pairs(spec: Attention, step: Step, where: Where) -> bool:
    own, here = step.seen.spec, step.seen.where
    if spec == own and not step.forgotten and (spec.claims().causal or here.S == where.S):
        return True
    if not (isinstance(spec, Pairwise) and isinstance(own, Pairwise)) or replace(spec, pattern=own.pattern) != own:
        return False
    keys = torch.arange(where.S, device=here.key_position.device)
    T, shape = here.T, (max(1, here.i.shape[0]), 1, here.T, where.S)
    asked = spec.pattern.allowed(here.i, keys[None, None, None], here).expand(shape)
    met = own.pattern.allowed(here.i, here.j, here).expand(-1, 1, T, here.S)
    allowed = torch.nn.functional.pad(met, (step.forgotten, where.S - step.forgotten - here.S))
    return torch.equal(asked, allowed.expand(shape))


def _row_block(step: Step, S: int, whole: bool) -> Tensor:
    """What is added to this step's scores, (B or 1, H, T, S): its bias, and what hides a pair if no pattern does."""
    seen = step.seen
    assert isinstance(seen.spec, Pairwise)
    H, T, here = seen.q_BHTD.shape[1], seen.where.T, seen.where.S
    bias = seen.params.get("position.bias")
    kind = seen.q_BHTD.dtype if bias is None else bias.dtype
    hidden = 0.0 if whole else torch.finfo(kind).min
    own = torch.zeros(1, 1, 1, 1, dtype=kind, device=seen.q_BHTD.device) if bias is None else bias
    if not whole:
        allowed = seen.spec.pattern.allowed(seen.where.i, seen.where.j, seen.where)
        own = own.masked_fill(~allowed, hidden)
    block = own.new_full((own.shape[0], H, T, S), hidden)
    block[..., step.forgotten : step.forgotten + here] = own
    return block


def merged(parts: Sequence[CapturedLayer], forgotten: Sequence[int], keep_BS: Tensor | None) -> CapturedLayer:
    """Counted steps as one: queries end to end, what keys received added up.

    Exact for every statistic, since a query is counted in one step alone.
    """
    first, last = parts[0], parts[-1]
    T, S = sum(one.T for one in parts), max(one.S + gone for one, gone in zip(parts, forgotten, strict=True))
    names = [name for name in last.statistics if all(name in one.statistics for one in parts)]
    statistics = {name: _joined(name, parts, forgotten, S) for name in names}
    rows = query_keep = None
    starts = [sum(one.T for one in parts[:index]) for index in range(len(parts))]
    if any(one.rows is not None for one in parts):
        own = [torch.arange(one.T) if one.rows is None else one.rows.cpu() for one in parts]
        rows = torch.cat([index + start for index, start in zip(own, starts, strict=True)])
    if any(one.query_keep is not None for one in parts):
        own = [
            torch.ones(one.batch, one.T, dtype=torch.bool) if one.query_keep is None else one.query_keep
            for one in parts
        ]
        query_keep = torch.cat([one.expand(first.batch, -1) for one in own], dim=1)
    undefined = {name: reason for one in parts for name, reason in one.undefined.items() if name not in names}
    return replace(
        last,
        T=T,
        S=S,
        statistics=statistics,
        undefined=undefined,
        check=_together([one.check for one in parts]),
        query_keep=query_keep,
        key_keep=keep_BS,
        rows=rows,
    )


def _joined(name: str, parts: Sequence[CapturedLayer], forgotten: Sequence[int], S: int) -> Tensor:
    own = [one.statistics[name] for one in parts]
    if STATISTICS[name].axis == "query":
        return torch.cat(own, dim=-1)
    whole = own[0].new_zeros(*own[0].shape[:-1], S)
    for x, gone in zip(own, forgotten, strict=True):
        whole[..., gone : gone + x.shape[-1]] += x
    return whole


def _together(checks: Sequence[Check]) -> Check:
    reason = next((one.reason for one in checks if one.error is None), None)
    errors = [one.error for one in checks if one.error is not None]
    return Check(None if reason is not None or not errors else max(errors), sum(one.rows for one in checks), reason)
