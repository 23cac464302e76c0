"""Terms that cannot stand together, and fields that nothing reads, are refused before anything is trained."""

from attnkit.errors import UsageError
from attnkit.model.settings import Section
from attnkit.run.recipe import Recipe
from attnkit.run.sections_learning import AugmentSettings, RegularizeSettings

_MOVES = ("adversarial_radius", "adversarial_weight")
_STEPS = (*_MOVES, "adversarial_step", "adversarial_steps")
_READS: dict[str, tuple[str, ...]] = {
    "none": (),
    "fgm": _MOVES,
    "pgd": _STEPS,
    "freelb": _STEPS,
    "vat": (*_MOVES, "adversarial_steps", "unlabeled"),
}
_NOISES = ("swap", "delete", "insert", "typos", "replace")


def check_terms(recipe: Recipe) -> None:
    """Hold [regularize], [augment] and [distill] to what can be done.

    Raises: UsageError naming the field that nothing reads, or the two that exclude each other.
    """
    _check_adversarial(recipe.regularize)
    _check_noise(recipe.augment)
    idle = next((name for name in type(recipe.distill).model_fields if _given(recipe.distill, name)), None)
    if idle and not recipe.distill.teacher:
        raise UsageError(f"distill.{idle} is given and there is no teacher; name a run with distill.teacher")
    if recipe.distill.teacher and not (
        recipe.distill.distill_weight or recipe.distill.hidden_weight or recipe.distill.attention_weight
    ):
        raise UsageError(
            "distill.teacher is given and nothing of it is imitated; set distill.distill_weight, hidden_weight or "
            "attention_weight above 0"
        )
    if recipe.model.language != "none":
        _check_words(recipe)
    _check_together(recipe)


def _check_words(recipe: Recipe) -> None:
    of_labels = {
        "regularize.mixup": recipe.regularize.mixup > 0,
        "regularize.adversarial = vat": recipe.regularize.adversarial == "vat",
        "distill.teacher": bool(recipe.distill.teacher),
    }
    if given := next((name for name, on in of_labels.items() if on), None):
        raise UsageError(
            f"{given} is about the predictions of a text, and a language model predicts words; leave it out"
        )


def _check_adversarial(settings: RegularizeSettings) -> None:
    for name in sorted({*_READS["pgd"], *_READS["vat"]} - {*_READS[settings.adversarial]}):
        if _given(settings, name):
            readers = ", ".join(method for method, names in _READS.items() if name in names)
            raise UsageError(
                f"regularize.{name} is read by adversarial = {readers}, and adversarial is {settings.adversarial}; "
                "leave it out, or choose one that reads it"
            )


def _check_noise(settings: AugmentSettings) -> None:
    noises = [name for name in _NOISES if getattr(settings, name)]
    if settings.augment and not noises:
        raise UsageError(
            f"augment.augment says how many texts are altered, not how; set one of {', '.join(_NOISES)} too"
        )
    if noises and not settings.augment:
        raise UsageError(f"augment.{noises[0]} alters no text while augment.augment is 0; set that to a share too")
    if bool(settings.replace) != bool(settings.synonyms):
        given, missing = ("replace", "synonyms") if settings.replace else ("synonyms", "replace")
        raise UsageError(f"augment.{given} does nothing without augment.{missing}; give both, or neither")


def _check_together(recipe: Recipe) -> None:
    regularize, distill = recipe.regularize, recipe.distill
    of_one_text = {
        "regularize.adversarial": regularize.adversarial != "none",
        "regularize.attention_entropy": regularize.attention_entropy != 0,
        "distill.attention_weight": distill.attention_weight > 0,
        "distill.hidden_weight": distill.hidden_weight > 0,
    }
    clashing = [name for name, on in of_one_text.items() if on]
    if regularize.mixup and clashing:
        raise UsageError(
            f"{clashing[0]} is about single texts and regularize.mixup mixes them; leave one of the two out"
        )
    if distill.attention_weight and recipe.augment.augment:
        raise UsageError(
            "distill.attention_weight compares where two models look in one text, and augment.augment alters it; leave "
            "one of the two out"
        )
    of_labels = {
        "train.label_smoothing": recipe.train.label_smoothing > 0,
        "train.class_weights": recipe.train.class_weights,
    }
    idle = next((name for name, on in of_labels.items() if on), None)
    if idle and distill.teacher and distill.distill_weight == 1:
        raise UsageError(
            f"{idle} is about the labels, and distill.distill_weight = 1 leaves them out; lower it, or leave {idle} out"
        )
    whole = {
        "regularize.l1": regularize.l1,
        "regularize.l2": regularize.l2,
        "distill.hidden_weight": distill.hidden_weight,
    }
    if recipe.train.sharded and (name := next((name for name, weight in whole.items() if weight), None)):
        raise UsageError(f"{name} reads weights that train.sharded leaves in parts; leave one of the two out")
    if recipe.train.packs and (reason := needs_padding(recipe)):
        raise UsageError(f'{reason}; set train.batches = "sorted"')


def needs_padding(recipe: Recipe) -> str | None:
    """Why the recipe asks for more than a packed batch can give; None where it does not."""
    if recipe.regularize.mixup:
        return "regularize.mixup adds two texts place by place, and packed texts have no places in common"
    if recipe.regularize.attention_entropy:
        return "regularize.attention_entropy reads maps of attention, and a packed batch has none"
    if recipe.distill.attention_weight:
        return "distill.attention_weight reads maps of attention, and a packed batch has none"
    return None


def _given(section: Section, name: str) -> bool:
    return bool(getattr(section, name) != type(section).model_fields[name].default)
