"""Figures with their 95 % intervals: point values by scikit-learn and scipy, intervals by a vectorised bootstrap."""

from attnkit.task.metrics.classes import Confusion, class_measures
from attnkit.task.metrics.label_sets import label_set_measures, label_set_precision
from attnkit.task.metrics.measure import Measure
from attnkit.task.metrics.scores import score_measures

__all__ = ["Confusion", "Measure", "class_measures", "label_set_measures", "label_set_precision", "score_measures"]
