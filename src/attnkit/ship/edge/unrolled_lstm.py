"""An LSTM written out step by step, for runtimes that know no such operator."""

import torch
from torch import Tensor, nn


class UnrolledLSTM(nn.Module):
    """One direction of one layer, T steps of plain products: graphs of fixed length alone.

    Cost: some ten operators a token in the graph.
    """

    def __init__(self, inner: nn.LSTM) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x_BTM: Tensor) -> tuple[Tensor, None]:
        """(h_BTM, None), as torch's gives its last state second."""
        one = self.inner
        given_BTG = nn.functional.linear(x_BTM, one.weight_ih_l0, one.bias_ih_l0)  # type: ignore[arg-type]
        h_BM = x_BTM.new_zeros(x_BTM.shape[0], one.hidden_size)
        c_BM, found = h_BM, []
        for step in range(x_BTM.shape[1]):
            gates_BG = given_BTG[:, step] + nn.functional.linear(h_BM, one.weight_hh_l0, one.bias_hh_l0)  # type: ignore[arg-type]
            enter, forget, new, leave = gates_BG.chunk(4, -1)
            c_BM = forget.sigmoid() * c_BM + enter.sigmoid() * new.tanh()
            h_BM = leave.sigmoid() * c_BM.tanh()
            found.append(h_BM)
        return torch.stack(found, 1), None
