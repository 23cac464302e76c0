"""A bidirectional LSTM whose answers never depend on padding, and that exports."""

import torch
from torch import Tensor, nn

from attnkit.layers import Dropout


class BiLSTM(nn.Module):
    """h_t = [forward LSTM over x_1..x_t ; backward LSTM over x_n..x_t], with n the real length of each row.

    The backward direction reads each row's real words in reverse by a gather, so padding stands behind the words in
    both directions; a packed sequence would do the same and cannot be exported.

    Source: Hochreiter and Schmidhuber 1997; Schuster and Paliwal 1997.
    """

    def __init__(self, input_width: int, width: int, *, layers: int = 1, dropout: float = 0.0) -> None:
        super().__init__()
        if width % 2:
            raise ValueError(f"a bilstm gives two halves of one width; model.width must be even, got {width}")
        sizes = [input_width] + [width] * (layers - 1)
        self.onward = nn.ModuleList(nn.LSTM(size, width // 2, batch_first=True) for size in sizes)
        self.backward_ = nn.ModuleList(nn.LSTM(size, width // 2, batch_first=True) for size in sizes)
        self.dropout = Dropout(dropout)
        for lstm in (*self.onward, *self.backward_):
            _start(lstm)

    def forward(self, x_BTM: Tensor, keep_BT: Tensor) -> Tensor:
        turn_BT = reversal(keep_BT)
        for number, (onward, backward) in enumerate(zip(self.onward, self.backward_, strict=True)):
            x_BTM = self.dropout(x_BTM) if number else x_BTM
            there, _ = onward(x_BTM)
            back, _ = backward(_pick(x_BTM, turn_BT))
            x_BTM = torch.cat([there, _pick(back, turn_BT)], -1)
        return x_BTM * keep_BT.unsqueeze(-1)


def reversal(keep_BT: Tensor) -> Tensor:
    """Positions that read each row's real words in reverse and leave the padding behind them where it is."""
    place_T = torch.arange(keep_BT.shape[1], device=keep_BT.device)
    length_B1 = keep_BT.sum(1, keepdim=True)
    return torch.where(place_T < length_B1, length_B1 - 1 - place_T, place_T)


def _pick(x_BTM: Tensor, place_BT: Tensor) -> Tensor:
    return x_BTM.gather(1, place_BT.unsqueeze(-1).expand(-1, -1, x_BTM.shape[-1]))


def _start(lstm: nn.LSTM) -> None:
    # Orthogonal recurrence and an open forget gate let the error of the last word reach the first from step one.
    width = lstm.hidden_size
    with torch.no_grad():
        for name, weight in lstm.named_parameters():
            if "bias" in name:
                weight.zero_()
            else:
                for gate in weight.split(width):
                    (nn.init.orthogonal_ if "_hh_" in name else nn.init.xavier_uniform_)(gate)
        lstm.bias_ih_l0[width : 2 * width] = 1.0  # type: ignore[operator]
