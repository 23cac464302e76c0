"""The ground all arms stand on: the same data, splits and settled recipe, and a trial of each arm before any trains."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from attnkit.compare.arms import Arm
from attnkit.data.examples import Example
from attnkit.errors import UsageError
from attnkit.model.build import build_model
from attnkit.run.recipe import Recipe
from attnkit.task.base import Task
from attnkit.train.assemble import assemble, split_source
from attnkit.train.events import Say
from attnkit.train.loop import predict_logits
from attnkit.train.prepare import check_source, read_source
from attnkit.train.preprocessing import Ids, Preprocessing

# As many of the longest texts as an arm is tried on.
TRIED = 2


@dataclass(frozen=True)
class Ground:
    """What does not change from arm to arm; `recipe` is settled, and leaves the test rows unread."""

    recipe: Recipe
    task: Task
    sha256: str
    path: Path
    train: list[Example]
    validation: list[Example]
    test: list[Example]
    prepare: Preprocessing
    longest: list[Ids]

    def rows(self, part: str) -> list[Example]:
        """The rows of "validation" or "test"."""
        return self.validation if part == "validation" else self.test


def refuse_incomparable(wanted: Recipe) -> None:
    """Hold a recipe to what can be compared.

    Raises: UsageError where it cross-validates, has several tasks or predicts words.
    """
    if wanted.evaluate.folds:
        raise UsageError("arms are compared on one validation split over several seeds; leave evaluate.folds out")
    if wanted.model.language != "none":
        raise UsageError("arms are compared by labels, and model.language predicts words; leave it out")
    if wanted.tasks.also:
        raise UsageError("arms are compared on one task; leave tasks.also out")


def lay_ground(wanted: Recipe, say: Say, allow_code: bool = False) -> Ground:
    """Read, check, split and settle once.

    Raises: UsageError where data or recipe are wrong, or the recipe cannot be compared.
    """
    refuse_incomparable(wanted)
    wanted = wanted.with_values({"evaluate.read_test": True, "evaluate.baselines": False}, allow_code=allow_code)
    source = read_source(wanted, say)
    check_source(source.examples(), source.schema, say)
    splits = split_source(source, wanted)
    for note in splits.notes:
        say("said", sentence=note)
    with TemporaryDirectory() as folder:
        made = assemble(Path(folder), Path(folder), wanted, splits, source, say, allow_code)
    columns = {"data.text": source.schema.text, "data.label": source.schema.label, "data.kind": source.schema.kind}
    recipe = made.recipe.with_values({**columns, "evaluate.read_test": False}, allow_code=allow_code)
    longest = sorted(made.train.items, key=len)[-TRIED:]
    parts = made.splits
    return Ground(
        recipe, made.task, source.sha256, source.path, parts.train, parts.validation, parts.test, made.prepare, longest
    )


def fit_for_all(ground: Ground, arms: Sequence[Arm], say: Say, allow_code: bool = False) -> list[Arm]:
    """The arms, once each has read the longest texts and passed gradients back; batches stand alike in all of them.

    Raises: UsageError naming the arm that cannot take its place, with the reason.
    """
    packs = True
    for arm in arms:
        try:
            size, outputs = ground.prepare.tokenizer.size, ground.task.outputs
            model = build_model(arm.recipe.model, size, outputs, allow_code=allow_code)
            predict_logits(model, ground.prepare, ground.longest)
            model.train()
            logits = model(*ground.prepare.collate(ground.longest))
            # Which label it is does not matter to whether gradients can be had.
            logits.sum().backward()
        except (ValueError, RuntimeError) as error:
            raise UsageError(f"{arm.name} cannot be trained here: {_sentence(error)}") from None
        packs = packs and model.refuses_packing() is None
    if packs or not any(arm.recipe.train.packs for arm in arms):
        return list(arms)
    say("said", sentence="not every arm can read packed batches, so all of them read sorted ones")
    return [replace(arm, recipe=arm.recipe.with_values({"batches": "sorted"}, allow_code=allow_code)) for arm in arms]


def _sentence(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
