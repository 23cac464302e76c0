"""How long training goes on and how fast, from how many steps an epoch has and what the preset and the time allow."""

from attnkit.errors import UsageError
from attnkit.model.settings import chosen
from attnkit.train.choices import Choices
from attnkit.train.optimizers import USUAL_RATES
from attnkit.train.presets import PRESETS

STEPS_A_CLASS = 20
FAST_STEPS = PRESETS["fast"].steps
# A wide branch begins at naive Bayes.
HEAD_START = 1000
MANY_ROWS, MANY_TOKENS = 20_000, 1_000_000
AS_LONG_AS_TIME_LASTS = 1_000_000


def choose_training(choices: Choices, rows: int, classes: int = 2, median_tokens: int = 1) -> None:
    """Settle the optimization of `rows` training texts of `classes` classes, the median text of `median_tokens`.

    Raises: UsageError where a one_cycle schedule is to rise over a share of steps whose number time decides.
    """
    preset = PRESETS[choices.recipe.train.preset]
    batch = choices.recipe.train.batch_rows
    steps = -(-rows // int(batch)) if batch != "auto" else 1
    most = min(10, preset.most_epochs) if choices.recipe.model.hierarchical is True else preset.most_epochs
    wide = choices.recipe.model.wide_ngrams not in (0, "auto")
    wanted = preset.steps / FAST_STEPS * ((HEAD_START if wide else FAST_STEPS) + STEPS_A_CLASS * classes)
    fewest = preset.fewest_epochs - (_spared(rows, median_tokens) if wide else 0)
    epochs = max(fewest, 1, min(most, round(wanted / steps)))
    if choices.recipe.train.minutes:
        reason = "the time says when to stop"
        choices.settle("train.epochs", AS_LONG_AS_TIME_LASTS, reason)
        choices.settle("train.patience", AS_LONG_AS_TIME_LASTS, reason)
    choices.settle("train.epochs", epochs, f"about {epochs * steps} steps; stops earlier where validation says so")
    choices.settle("train.patience", preset.patience, "validation of few rows goes up and down by chance")
    name = choices.recipe.optimizer.optimizer
    reason = (
        "twice the usual rate of Adam: embeddings learn from few words a step" if name == "adamw" else f"for {name}"
    )
    choices.settle("train.learning_rate", USUAL_RATES[name], reason)
    if choices.recipe.train.schedule == "one_cycle":
        if choices.recipe.train.minutes and choices.recipe.train.warmup_steps == "auto":
            raise UsageError(
                "one_cycle rises over a share of all steps, and under train.minutes their number is not known before; "
                "give train.warmup_steps, or another schedule"
            )
        choices.settle("train.warmup_steps", round(0.3 * steps * chosen(choices.recipe.train.epochs)), "a cycle's rise")
    choices.settle("train.warmup_steps", min(100, steps), "at most one epoch")
    choices.settle("train.ema_decay", 0.0, "the weights of the best epoch are kept as they are")


def _spared(rows: int, median_tokens: int) -> int:
    """Epochs that a wide branch spares: it knows few rows by heart sooner, and has seen enough of many tokens."""
    if rows * median_tokens >= MANY_TOKENS:
        return 2
    return 1 if rows < MANY_ROWS else 0
