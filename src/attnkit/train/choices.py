"""What the data decides where a recipe says "auto": each choice with the sentence that is recorded beside it."""

from dataclasses import dataclass, field
from typing import Any

from attnkit.model.settings import Section
from attnkit.run.recipe import Recipe


@dataclass
class Choices:
    """Settles "auto" fields one by one, remembering why."""

    recipe: Recipe
    reasons: dict[str, str] = field(default_factory=dict)

    def settle(self, name: str, value: Any, reason: str, read: bool = True) -> None:
        """Give the field `name` ("section.field") its value where it still says "auto".

        What nothing will read (`read` False) has its value and no reason, so that it is not told as a choice.
        """
        if is_open(self.recipe, name):
            section, entry = name.split(".")
            holder: Section = getattr(self.recipe, section)
            changed = holder.model_copy(update={entry: value})
            self.recipe = self.recipe.model_copy(update={section: changed})
            if read:
                self.reasons[name] = reason


def is_open(recipe: Recipe, name: str) -> bool:
    """Tell whether the field `name` ("section.field") still says "auto"."""
    section, entry = name.split(".")
    return bool(getattr(getattr(recipe, section), entry) == "auto")
