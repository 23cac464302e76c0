"""Weights from elsewhere into a network: all whose name, shape and meaning fit."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from attnkit.errors import UsageError
from attnkit.model.changes import Change
from attnkit.model.settings import ModelSettings
from attnkit.task.base import Task
from attnkit.train.start.start import Start

# Settings that must be alike for weights of one name and shape to mean the same, by how their names begin.
_ENCODER = ("encoder", "heads", "kernel_widths_tokens")
_MEANING = {
    "ngrams.": ("ngrams", "ngram_buckets"),
    "wide.": ("wide_ngrams",),
    "encoder.": _ENCODER,
    "words.": _ENCODER,
    "sentences.": (),
    "summary.": ("encoder", "pooling", "words_beside"),
    "word_summary.": ("encoder", "pooling"),
    "sentence_summary.": ("pooling",),
    "head.": ("encoder", "pooling", "pooling_queries", "beside", "words_beside"),
}


@dataclass(frozen=True)
class Filled:
    """Which weights of a network were taken over, and which began anew."""

    taken: tuple[str, ...]
    fresh: tuple[str, ...]
    changed: tuple[Change, ...] = ()

    def sentence(self, start: Start) -> str:
        """What was taken and what was not, for people to read."""
        said = f"{len(self.taken)} weights of {start.said} are taken over ({_parts(self.taken)})"
        said += f"; new are {_parts(self.fresh)}" if self.fresh else "; nothing is new"
        taken = {name.partition(".")[0] for name in self.taken}
        left = ", ".join(name for name in start.left if name not in taken)
        said += f"; left are {left}" if left else ""
        return said + (f"; then come {len(self.changed)} changes" if self.changed else "")


def fill(model: nn.Module, settings: ModelSettings, task: Task, start: Start) -> Filled:
    """Put the weights of `start` into `model`, built by `settings` for `task`, wherever they fit.

    Raises: UsageError where not one of them does.
    """
    own = model.state_dict()
    counted_alike = _counted_alike(model, start)
    taken: dict[str, Tensor] = {
        name: start.weights[name]
        for name, value in own.items()
        if name in start.weights
        and start.weights[name].shape == value.shape
        and _means_the_same(name, settings, start, task)
        and (counted_alike or not name.startswith("wide."))
    }
    if not taken:
        raise UsageError(f"nothing of {start.said} fits this network; leave the settings of [model] to it")
    model.load_state_dict({**own, **taken})
    return Filled(tuple(taken), tuple(name for name in own if name not in taken))


def _counted_alike(model: nn.Module, start: Start) -> bool:
    """Tell whether the wide branch of the start has counted what that of `model` has: the same rows and labels."""
    counts = {name: value for name, value in model.named_buffers() if name.startswith("wide.")}
    theirs = start.weights
    return all(name in theirs and torch.equal(value, theirs[name]) for name, value in counts.items())


def _means_the_same(name: str, settings: ModelSettings, start: Start, task: Task) -> bool:
    if name.startswith("head.") and (start.task is None or start.task.to_dict() != task.to_dict()):
        return False
    if ".operator." in name and "summary" not in name and settings.attention != start.settings.attention:
        return False
    fields = next((fields for begins, fields in _MEANING.items() if name.startswith(begins)), ())
    return all(getattr(settings, field) == getattr(start.settings, field) for field in fields)


def _parts(names: tuple[str, ...]) -> str:
    return ", ".join(dict.fromkeys(name.partition(".")[0] for name in names))
