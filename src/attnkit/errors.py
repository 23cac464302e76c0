"""The two ways a command can end badly; both carry one sentence for the user."""


class UsageError(ValueError):
    """The input or an option is wrong: what was wrong, what was given, what to do (exit code 2)."""


class FailedError(RuntimeError):
    """The work was asked for rightly and could not be done: what happened and what to do (exit code 1)."""
