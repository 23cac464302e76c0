"""What is predicted and how well: one file a task, metrics with intervals."""

from attnkit.task.base import Prediction, Selection, Task
from attnkit.task.choose import task_for, task_from_dict
from attnkit.task.metrics import Confusion, Measure
from attnkit.task.multi_label import MultiLabel
from attnkit.task.score import Score
from attnkit.task.single_label import SingleLabel

__all__ = [
    "Confusion",
    "Measure",
    "MultiLabel",
    "Prediction",
    "Score",
    "Selection",
    "SingleLabel",
    "Task",
    "task_for",
    "task_from_dict",
]
