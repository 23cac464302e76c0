"""The queries and keys of a piece, as strided views of all of them."""

from torch import Tensor

from attnkit.kernels.banded.pieces import Piece


def queries(x_HTD: Tensor, piece: Piece) -> Tensor:
    """The piece's queries, or what there is of them, (blocks, H, rows, D)."""
    return view(x_HTD, piece.query, piece.rows, piece)


def keys(x_HSD: Tensor, piece: Piece) -> Tensor:
    """The piece's keys or values, (blocks, H, columns, D); blocks may share them."""
    return view(x_HSD, piece.key, piece.columns, piece)


def view(x_HLD: Tensor, start: int, size: int, piece: Piece) -> Tensor:
    """Stretches of `size` tokens, the first one at `start`, a step of the piece apart: (blocks, H, size, D)."""
    head, token, width = x_HLD.stride()
    return x_HLD.as_strided(
        (piece.count, x_HLD.shape[0], size, x_HLD.shape[2]),
        (piece.step * token, head, piece.stride * token, width),
        x_HLD.storage_offset() + start * token,
    )
