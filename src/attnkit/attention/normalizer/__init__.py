"""Normalizers by name."""

from attnkit.attention.normalizer.entmax import Entmax
from attnkit.attention.normalizer.sigmoid import Sigmoid
from attnkit.attention.normalizer.sink import Sink
from attnkit.attention.normalizer.softmax import Softmax
from attnkit.attention.normalizer.sparsemax import Sparsemax
from attnkit.attention.normalizer.top_k import TopK

NORMALIZERS = (Softmax, Sparsemax, Entmax, Sigmoid, TopK, Sink)

__all__ = ["NORMALIZERS", "Entmax", "Sigmoid", "Sink", "Softmax", "Sparsemax", "TopK"]
