"""The angles that sinusoid and rotary share, and the dtype positions are computed in."""

import torch
from torch import Tensor


def precise(dtype: torch.dtype) -> torch.dtype:
    """float64 for float64, else float32: half precision cannot tell position 2048 from 2049."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def angles(position_BL: Tensor, width: int, base: float, dtype: torch.dtype) -> Tensor:
    """theta_lm = position_l * base^(-2m / D) for m < ceil(D / 2), as (L, D/2) or (B, 1, L, D/2)."""
    exponent = torch.arange(0, width, 2, dtype=dtype, device=position_BL.device) / width
    theta = position_BL.to(dtype)[..., None] * base**-exponent
    return theta if theta.dim() == 2 else theta[:, None]
