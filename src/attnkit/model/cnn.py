"""A convolution over words: filters of several widths side by side."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attnkit.layers import Dropout


class CNN(nn.Module):
    """h_t = ReLU([W_w * x]_t for each filter width w), padding read as zeros, in `layers` residual layers.

    Source: Kim 2014, equation 2 (here every position is kept, for the pooling to weigh).
    """

    def __init__(
        self, input_width: int, width: int, kernel_widths: tuple[int, ...], *, layers: int = 1, dropout: float = 0.0
    ) -> None:
        super().__init__()
        sizes = [input_width] + [width] * (layers - 1)
        self.layers = nn.ModuleList(Filters(size, width, kernel_widths) for size in sizes)
        self.dropout = Dropout(dropout)

    def forward(self, x_BTM: Tensor, keep_BT: Tensor) -> Tensor:
        keep_B1T = keep_BT.unsqueeze(1)
        x_BMT = x_BTM.transpose(1, 2) * keep_B1T
        for number, layer in enumerate(self.layers):
            found_BMT = layer(self.dropout(x_BMT) if number else x_BMT) * keep_B1T
            x_BMT = x_BMT + found_BMT if number else found_BMT
        return x_BMT.transpose(1, 2)


class Filters(nn.Module):
    """One layer: `width` channels shared evenly among the filter widths, as long as the input.

    Raises: ValueError where there are more filter widths than channels.
    """

    def __init__(self, input_width: int, width: int, kernel_widths: tuple[int, ...]) -> None:
        super().__init__()
        share, over = divmod(width, len(kernel_widths))
        if share == 0:
            raise ValueError(
                f"model.width must be at least the number of filter widths; got {width} for {kernel_widths}"
            )
        sizes = [share + (number < over) for number in range(len(kernel_widths))]
        self.kernels = nn.ModuleList(nn.Conv1d(input_width, s, k) for s, k in zip(sizes, kernel_widths, strict=True))
        self.margins = [((kernel - 1) // 2, kernel // 2) for kernel in kernel_widths]

    def forward(self, x_BMT: Tensor) -> Tensor:
        found = [
            kernel(F.pad(x_BMT, margin)) for kernel, margin in zip(self.kernels.children(), self.margins, strict=True)
        ]
        return torch.relu(torch.cat(found, 1))
