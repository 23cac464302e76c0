"""WHAT WAS SHIPPED: a model with its tokenizer, that predicts with onnxruntime, tokenizers and numpy alone."""

from attnkit.bundle.artefact import Artefact, open_artefact

__all__ = ["Artefact", "open_artefact"]
