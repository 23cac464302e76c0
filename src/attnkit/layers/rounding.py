"""Rounding: weights as small whole numbers, with a scale for each row or for each group of a row."""

from dataclasses import dataclass

import torch
from torch import Tensor

_TINY = 1e-12


@dataclass(frozen=True)
class Rounding:
    """w = scale x code with whole codes from -(2^(bits - 1) - 1) to as much above 0; `group` 0 is a scale a row.

    Rows are the last axis. Codes of 4 bits stand two in a byte, the even place in the lower half.

    Raises: ValueError where bits are neither 8 nor 4, or a group has an odd number of weights.
    Source: Jacob et al. 2018, section 2.1, without a zero point; groups, Shen et al. 2020 (Q-BERT), section 3.3.
    """

    bits: int = 8
    group: int = 0

    def __post_init__(self) -> None:
        if self.bits not in (4, 8):
            raise ValueError(f"weights are whole numbers of 8 or of 4 bits; got bits = {self.bits}")
        if self.group < 0 or self.group % 2:
            raise ValueError(f"a group is an even number of weights, or 0 for a whole row; got group = {self.group}")

    def codes(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """(codes, scales) of rows (..., I): int8 (..., I) or uint8 (..., I / 2), and float32 (..., groups)."""
        whole, scale = self._whole(weight)
        return (whole if self.bits == 8 else _packed(whole)), scale

    def weights(self, codes: Tensor, scale: Tensor, width: int) -> Tensor:
        """Rows of `width` weights again, in the type of the scales."""
        whole = codes if self.bits == 8 else _unpacked(codes, width)
        return self._spread(whole.to(scale.dtype), scale)

    def rounded(self, weight: Tensor) -> Tensor:
        """What comes back of rows once they have been stored."""
        whole, scale = self._whole(weight)
        return self._spread(whole.to(scale.dtype), scale).to(weight.dtype)

    def _whole(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        width, most = weight.shape[-1], 2 ** (self.bits - 1) - 1
        group = self.group or width
        groups = -(-width // group)
        filled = torch.nn.functional.pad(weight.float(), (0, groups * group - width)).unflatten(-1, (groups, group))
        scale = filled.abs().amax(-1) / most
        whole = (filled / scale.clamp(min=_TINY).unsqueeze(-1)).round().clamp(-most, most)
        return whole.flatten(-2)[..., :width].to(torch.int8), scale

    def _spread(self, whole: Tensor, scale: Tensor) -> Tensor:
        if scale.shape[-1] == 1:
            return whole * scale
        return whole * scale.repeat_interleave(self.group, -1)[..., : whole.shape[-1]]


def _packed(whole: Tensor) -> Tensor:
    even = torch.nn.functional.pad(whole, (0, whole.shape[-1] % 2)).to(torch.int16) & 15
    return (even[..., ::2] | (even[..., 1::2] << 4)).to(torch.uint8)


def _unpacked(codes: Tensor, width: int) -> Tensor:
    if torch.compiler.is_exporting():
        # ONNX has shifts of other types than these, and products and quotients of all.
        codes = codes.to(torch.int32)
        high = torch.div(codes, 16, rounding_mode="floor")
        low = codes - 16 * high
    else:
        low, high = codes & 15, codes >> 4
    halves = torch.stack([low, high], -1).flatten(-2)[..., :width].to(torch.int8)
    return halves - 16 * (halves > 7)
