"""Fields of [optimizer] that the chosen optimizer or schedule does not read are refused, not passed over."""

from attnkit.errors import UsageError
from attnkit.run.recipe import Recipe
from attnkit.run.sections_learning import OptimizerSettings
from attnkit.train import optimizers, schedules


def check_optimization(recipe: Recipe) -> None:
    """Hold the fields of [optimizer] to what the optimizer and the schedule read.

    Raises: UsageError naming a field that is set and that nothing reads, and what would read it.
    """
    _check(recipe, "optimizer", recipe.optimizer.optimizer, optimizers.READS)
    _check(recipe, "schedule", recipe.train.schedule, schedules.READS)
    if recipe.optimizer.nesterov and recipe.optimizer.momentum == 0:
        raise UsageError("optimizer.nesterov looks ahead by a momentum, and optimizer.momentum is 0; give one")


def _check(recipe: Recipe, kind: str, name: str, reads: dict[str, tuple[str, ...]]) -> None:
    for field in sorted({one for fields in reads.values() for one in fields} - set(reads[name])):
        value = getattr(recipe.optimizer, field)
        if value != OptimizerSettings.model_fields[field].default:
            readers = [one for one, fields in reads.items() if field in fields]
            raise UsageError(
                f"optimizer.{field} = {value} is for the {kind} {', '.join(readers)}, and the {kind} is {name}; "
                f"leave it out, or choose one that reads it"
            )
