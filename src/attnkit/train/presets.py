"""Presets: how much work may go into what a recipe leaves open."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Preset:
    """Limits on work: `steps` that two classes are worth, epochs, evaluations without a better one, and widths.

    `filters` is the width of convolutions and their words, `width` that of every network; 0 leaves it to the encoder.
    `tuning_epochs` are those of weights that have learned already, on few rows and on many.
    """

    steps: int
    fewest_epochs: int
    most_epochs: int
    patience: int
    filters: int
    tuning_epochs: tuple[int, int]
    width: int = 0


# What presets settle, where it is left open.
PRESET_FIELDS = ("model.width", "train.epochs", "train.patience")
PRESETS = {
    "tiny": Preset(steps=300, fewest_epochs=1, most_epochs=3, patience=2, filters=64, tuning_epochs=(2, 1), width=64),
    "fast": Preset(steps=1500, fewest_epochs=5, most_epochs=20, patience=3, filters=150, tuning_epochs=(4, 2)),
    "best": Preset(steps=4500, fewest_epochs=10, most_epochs=40, patience=5, filters=300, tuning_epochs=(6, 3)),
}
