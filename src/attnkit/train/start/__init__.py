"""Starts: what the weights are before the first step: word vectors, another run, a checkpoint of the BERT family."""

from attnkit.train.start.begin import begin, settle_start
from attnkit.train.start.changed import changed_tokenizer
from attnkit.train.start.opening import open_start
from attnkit.train.start.start import Start

__all__ = ["Start", "begin", "changed_tokenizer", "open_start", "settle_start"]
