"""The sections of a recipe other than [model]: what is read, cut into tokens, optimized and measured."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from attnkit.model.settings import Auto, Count, Section


class DataSettings(Section):
    """What is read, and how it is split."""

    path: str = Field("", description="file or folder of the data; the one named on the command line goes before it")
    text: tuple[str, ...] = Field(
        (), strict=False, max_length=2, description="text column, or two for pairs; empty: inferred"
    )
    label: str = Field("", description="label column; empty: inferred")
    kind: Literal["auto", "single", "multi", "score"] = Field(
        "auto", description="one label a text, several labels a text, or a graded score"
    )
    validation: float = Field(
        0.1, gt=0, lt=1, description="share of the training rows held out to choose the best epoch, where none is given"
    )
    test: float = Field(0.1, ge=0, lt=1, description="share of the rows held out as test, where no test split is given")
    split_seed: int = Field(0, ge=0, lt=2**31, description="seed of the split")
    train_share: float = Field(
        1.0, gt=0, le=1, description="share of the training rows that are trained on, drawn by label and by train.seed"
    )
    validation_order: str = Field(
        "",
        description="column by which the last rows of each label are held out, such as a date or a number that groups "
        "rows of one origin; empty: held-out rows are drawn",
    )

    @field_validator("text", mode="before")
    @classmethod
    def _one_column(cls, value: object) -> object:
        return ([value] if value else []) if isinstance(value, str) else value


class TokenSettings(Section):
    """How a text becomes numbers; fitted on the training split alone."""

    tokenizer: Literal["auto", "word", "bpe", "chars", "given"] = Field(
        "auto", description="word, bpe (bytes), chars (characters, for Chinese), or given (that of start.start_from)"
    )
    vocabulary_size: Annotated[int, Field(ge=4, le=4_000_000)] | Auto = Field(
        "auto", description="most entries of the vocabulary"
    )
    lowercase: bool | Auto = Field("auto", description="read capitals as small letters")
    min_count: Count | Auto = Field("auto", description="occurrences in the training split that make a word known")
    max_tokens: Count | Auto = Field("auto", description="tokens of a text that are read, from its start")
    max_sentences: Count | Auto = Field(
        "auto", description="sentences of a document that are read (hierarchical models)"
    )
    max_sentence_tokens: int = Field(
        50, ge=2, le=10_000, description="tokens of a sentence; a longer one goes on as the next (hierarchical models)"
    )


class TrainSettings(Section):
    """How the weights are found."""

    preset: Literal["tiny", "fast", "best"] = Field(
        "fast",
        description="how much work may go into what is left open: tiny shows that it runs, fast is the best trade, "
        "best spends several times as much",
    )
    minutes: float = Field(
        0.0, ge=0, le=1_000_000, description="wall time of the whole command in minutes (0: as long as it takes)"
    )
    seed: int = Field(0, ge=0, lt=2**31, description="seed of the weights, the batch order and dropout")
    epochs: Annotated[int, Field(ge=0, le=1_000_000)] | Auto = Field(
        "auto", description="most passes over the training split (0: the weights are measured and kept as they begin)"
    )
    patience: Count | Auto = Field(
        "auto", description="evaluations without a better validation measure before stopping"
    )
    batch_rows: Count | Auto = Field("auto", description="texts in a batch")
    batch_tokens: int = Field(
        0,
        ge=0,
        le=100_000_000,
        description="most tokens of a batch, padding counted; batch_rows is then its most texts",
    )
    batch_growth: float = Field(1.0, ge=1, le=16, description="factor by which batches grow from epoch to epoch")
    batch_mix: tuple[int, ...] = Field(
        (),
        strict=False,
        max_length=16,
        description="sizes in texts from which each batch draws its own; empty: all alike",
    )
    accumulate: int = Field(
        1, ge=1, le=4096, description="pieces of a batch that are computed one after another, or by one process each"
    )
    fit_batch: bool = Field(
        False, description="find batch_rows by trying how many of the longest texts fit into the memory that is free"
    )
    sharded: bool = Field(
        False,
        description="of several processes each holds a part of the weights, their gradients and the optimizer's state, "
        "instead of all of them",
    )
    batches: Literal["auto", "packed", "packed_sorted", "sorted"] = Field(
        "auto",
        description="packed: texts drawn at random, their tokens end to end, each attended on its own (transformer or "
        "none); packed_sorted: the same, of texts of like length; sorted: texts of like length, padded to the longest",
    )
    learning_rate: Annotated[float, Field(gt=0, le=10)] | Auto = Field(
        "auto", description="highest learning rate of the optimizer"
    )
    weight_decay: float = Field(
        0.01,
        ge=0,
        le=10,
        description="weight decay, on matrices alone: decoupled in adamw, nadam, radam, adafactor and muon",
    )
    schedule: Literal["constant", "step", "exponential", "cosine", "linear", "inverse_root", "one_cycle", "plateau"] = (
        Field("cosine", description="how the learning rate falls after the warm-up, over all epochs")
    )
    warmup_steps: Annotated[int, Field(ge=0)] | Auto = Field(
        "auto", description="steps over which the learning rate rises from zero"
    )
    clip_norm: float = Field(1.0, ge=0, description="longest gradient, as its norm over all parameters (0: no limit)")
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="share of each target spread over all classes")
    class_weights: bool = Field(False, description="weigh classes by the inverse of their frequency")
    ema_decay: Annotated[float, Field(ge=0, lt=1)] | Auto = Field(
        "auto", description="decay a step of the averaged weights that are kept (0: none)"
    )
    precision: Literal["float32", "bfloat16", "float16"] = Field(
        "float32", description="what training steps are computed in, under autocast; weights stay float32"
    )
    evaluate_every_steps: int = Field(0, ge=0, description="steps between evaluations on validation (0: each epoch)")
    evaluate_start: bool = Field(
        False,
        description="measure the weights before the first step too, and keep them where nothing later does better",
    )
    watch_rows: int = Field(
        16, ge=0, le=1024, description="validation texts on which the attention is watched at each evaluation (0: none)"
    )
    checkpoint_every_steps: int = Field(500, ge=1, description="steps between checkpoints, beside each evaluation")

    @property
    def packs(self) -> bool:
        """True where the tokens of a batch stand end to end; until that is settled, and in older runs, they do not."""
        return self.batches in ("packed", "packed_sorted")


class EvaluateSettings(Section):
    """What is measured at the end."""

    folds: int = Field(0, ge=0, le=1000, description="cross-validation in this many folds (0: one split)")
    baselines: bool = Field(False, description="measure majority, TF-IDF + logistic regression and NB-SVM beside it")
    read_test: bool = Field(
        True, description="measure the test rows at the end; false leaves them unread while choices are still made"
    )
