"""Lowered: under autocast, queries, keys and values in autocast's type, as torch's own attention takes them."""

from dataclasses import replace

import torch

from attnkit.kernels.kernel import Call


def lowered(call: Call) -> Call:
    """The call with q, k and v in the type that autocast asks for; the same call where it is off."""
    device = call.q_BHTD.device.type
    if not torch.is_autocast_enabled(device) or call.q_BHTD.dtype == torch.float64:
        return call
    dtype = torch.get_autocast_dtype(device)
    q, k, v = (x.to(dtype) for x in (call.q_BHTD, call.k_BGSD, call.v_BGSE))
    return replace(call, q_BHTD=q, k_BGSD=k, v_BGSE=v)
