"""Adapting a trained model to what it meets: small, guarded updates from labeled feedback."""

from attnkit.adapt.learn import learn
from attnkit.adapt.learner import Learner
from attnkit.adapt.settings import LearnSettings

__all__ = ["LearnSettings", "Learner", "learn"]
