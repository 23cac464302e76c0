"""A convolution over words: filters of several widths side by side."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class CNN(nn.Module):
    """h_t = ReLU([W_w * x]_t for each filter width w), padding read as zeros, in `layers` residual layers.

    Source: Kim 2014, equation 2 (here every position is kept, for the pooling to weigh).
    """

    def __init__(
        self, input_width: int, width: int, kernel_widths: tuple[int, ...], *, layers: int = 1, dropout: float = 0.0
    ) -> None:
        super().__init__()
        share, over = divmod(width, len(kernel_widths))
        if share == 0:
            raise ValueError(
                f"model.width must be at least the number of kernel widths; got {width} for {kernel_widths}"
            )
        channels = [share + (number < over) for number in range(len(kernel_widths))]
        self.layers = nn.ModuleList(
            nn.ModuleList(
                nn.Conv1d(input_width if layer == 0 else width, size, kernel)
                for kernel, size in zip(kernel_widths, channels, strict=True)
            )
            for layer in range(layers)
        )
        self.margins = [((kernel - 1) // 2, kernel // 2) for kernel in kernel_widths]
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_BTM: Tensor, keep_BT: Tensor) -> Tensor:
        keep_B1T = keep_BT.unsqueeze(1)
        x_BMT = x_BTM.transpose(1, 2) * keep_B1T
        for number, filters in enumerate(self.layers):
            read_BMT = self.dropout(x_BMT) if number else x_BMT
            found = [kernel(F.pad(read_BMT, margin)) for kernel, margin in zip(filters, self.margins, strict=True)]
            found_BMT = torch.relu(torch.cat(found, 1)) * keep_B1T
            x_BMT = x_BMT + found_BMT if number else found_BMT
        return x_BMT.transpose(1, 2)
