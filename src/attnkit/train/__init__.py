"""From a data file to a trained, measured, predicting run directory."""

from attnkit.train.evaluation import Evaluation, evaluate
from attnkit.train.events import Event
from attnkit.train.interrupt import Interrupted
from attnkit.train.predictor import Looked, Predictor, load
from attnkit.train.training import train

__all__ = ["Evaluation", "Event", "Interrupted", "Looked", "Predictor", "evaluate", "load", "train"]
