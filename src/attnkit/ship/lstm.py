"""LSTMs that export with any batch and length, in place of torch's, which export with the lengths they were shown."""

import copy

import torch
from torch import Tensor, nn

from attnkit.model.bilstm import BiLSTM
from attnkit.ship.edge.unrolled_lstm import UnrolledLSTM

# ideep's number for an LSTM among the recurrent networks it knows.
_LSTM_MODE = 2


class OnnxLSTM(nn.Module):
    """One direction of one layer as ONNX's operator LSTM; traced only, never computed here."""

    weight_ih_l0: Tensor
    weight_hh_l0: Tensor
    bias: Tensor

    def __init__(self, inner: nn.LSTM) -> None:
        super().__init__()
        self.hidden = inner.hidden_size
        weights = {name: value.detach() for name, value in inner.named_parameters()}
        # torch orders the gates i, f, g, o and ONNX i, o, f, c; axis 0 is the direction.
        for name in ("weight_ih_l0", "weight_hh_l0"):
            self.register_buffer(name, _reordered(weights[name]).unsqueeze(0))
        bias = torch.cat([_reordered(weights["bias_ih_l0"]), _reordered(weights["bias_hh_l0"])])
        self.register_buffer("bias", bias.unsqueeze(0))

    def forward(self, x_BTM: Tensor) -> tuple[Tensor, None]:
        """(h_BTM, None), as torch's gives its last state second."""
        x_TBM = x_BTM.transpose(0, 1)
        T, B, _ = x_TBM.shape
        y_T1BM, *_ = torch.onnx.ops.symbolic_multi_out(
            "LSTM",
            (x_TBM, self.weight_ih_l0, self.weight_hh_l0, self.bias),
            {"hidden_size": self.hidden},
            dtypes=(x_BTM.dtype, x_BTM.dtype, x_BTM.dtype),
            shapes=((T, 1, B, self.hidden), (1, B, self.hidden), (1, B, self.hidden)),
            version=22,
        )
        return y_T1BM.squeeze(1).transpose(0, 1), None


class TorchLSTM(nn.Module):
    """One direction of one layer as the operator that torch's own LSTM calls on a processor."""

    def __init__(self, inner: nn.LSTM) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x_BTM: Tensor) -> tuple[Tensor, None]:
        """(h_BTM, None), as torch's gives its last state second."""
        one = self.inner
        start_1BM = x_BTM.new_zeros(1, x_BTM.shape[0], one.hidden_size)
        y_TBM, *_ = torch.ops.aten.mkldnn_rnn_layer.default(
            x_BTM.transpose(0, 1).contiguous(),
            *(getattr(one, name) for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")),
            start_1BM,
            start_1BM,
            False,
            [],
            _LSTM_MODE,
            one.hidden_size,
            1,
            True,
            False,
            False,
            False,
        )
        return y_TBM.transpose(0, 1), None


def with_exported_lstms(network: nn.Module, target: str) -> nn.Module:
    """A copy of `network` whose LSTMs export to `target`."""
    found = copy.deepcopy(network)
    kind = {"onnx": OnnxLSTM, "torch": TorchLSTM}.get(target, UnrolledLSTM)
    for module in found.modules():
        if isinstance(module, BiLSTM):
            for layers in (module.onward, module.backward_):
                for number, layer in enumerate(layers):
                    if isinstance(layer, nn.LSTM):
                        layers[number] = kind(layer)
    return found


def _reordered(x_4X: Tensor) -> Tensor:
    input_gate, forget, cell, output = x_4X.chunk(4)
    return torch.cat([input_gate, output, forget, cell])
