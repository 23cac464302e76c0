"""What an attention model must beat: classifiers that train in seconds and have nothing to tune."""

from attnkit.model.baselines.compare import BaselineResult, baselines_for, run_baselines
from attnkit.model.baselines.majority import Majority, Mean
from attnkit.model.baselines.nb_svm import NbSvm, log_count_ratio
from attnkit.model.baselines.targets import Baseline
from attnkit.model.baselines.tfidf_logistic import TfidfLogistic, TfidfRidge

__all__ = [
    "Baseline",
    "BaselineResult",
    "Majority",
    "Mean",
    "NbSvm",
    "TfidfLogistic",
    "TfidfRidge",
    "baselines_for",
    "log_count_ratio",
    "run_baselines",
]
