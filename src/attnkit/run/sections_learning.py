"""The sections of a recipe about learning itself: optimizer, restraint, noise, start and teacher."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from attnkit.model.settings import Section

Weight = Annotated[float, Field(ge=0, le=1000)]
Rate = Annotated[float, Field(ge=0, le=1)]
Names = Annotated[tuple[str, ...], Field(strict=False, max_length=64)]


class OptimizerSettings(Section):
    """What moves the weights, and how its rate is spread over layers and over time."""

    optimizer: Literal[
        "adamw", "adam", "nadam", "radam", "adamax", "sgd", "adagrad", "adadelta", "rmsprop", "adafactor", "muon"
    ] = Field("adamw", description="torch's optimizer of this name (muon moves matrices, adamw beside it the rest)")
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum of sgd, rmsprop and muon (0: none)")
    nesterov: bool = Field(False, description="look ahead by one step of momentum (sgd, muon)")
    first_moment: float = Field(0.9, ge=0, lt=1, description="decay of the mean of gradients (the adam family)")
    second_moment: float = Field(
        0.999, ge=0, lt=1, description="decay of the mean of squares (adam family, rmsprop, adadelta)"
    )
    epsilon: float = Field(1e-8, gt=0, le=1, description="what keeps a division by the root of squares finite")
    layer_decay: float = Field(
        1.0, gt=0, le=1, description="learning rate of a layer as a share of that of the layer above it (1: all alike)"
    )
    embedding_rate: float = Field(1.0, ge=0, le=100, description="learning rate of the embeddings, as a factor")
    head_rate: float = Field(1.0, gt=0, le=100, description="learning rate of the classifier, as a factor")
    final_rate: Rate = Field(0.0, description="learning rate at the end of linear and cosine schedules, as a share")
    cycles: int = Field(1, ge=1, le=1000, description="times a cosine schedule starts again, each cycle as long")
    decay_factor: float = Field(
        0.5, gt=0, lt=1, description="what step, exponential and plateau schedules multiply the learning rate by"
    )
    decay_epochs: float = Field(
        1.0, gt=0, le=10_000, description="epochs between two falls of a step schedule, and for one of an exponential"
    )
    plateau_patience: int = Field(
        1,
        ge=0,
        le=1000,
        description="evaluations without a better one that a plateau schedule bears before it lowers the rate",
    )
    swa_start: float = Field(
        1.0, ge=0, le=1, description="share of the steps after which plain averages of the weights are kept (1: never)"
    )


class RegularizeSettings(Section):
    """What keeps the weights from learning the training rows by heart."""

    l1: Weight = Field(0.0, description="weight of the sum of absolute weights in the loss (matrices alone)")
    l2: Weight = Field(0.0, description="weight of half the sum of squared weights in the loss (matrices alone)")
    attention_entropy: float = Field(
        0.0,
        ge=-1000,
        le=1000,
        description="weight of the mean entropy of attention, as a share of the largest one: "
        "above 0 it is made sharp, below 0 it is kept wide",
    )
    mixup: float = Field(
        0.0,
        ge=0,
        le=100,
        description="alpha of the beta distribution by which pairs of embedded texts are mixed (0: none)",
    )
    adversarial: Literal["none", "fgm", "pgd", "freelb", "vat"] = Field(
        "none",
        description="train on embeddings moved against the loss: one step, several, several in one, or by the "
        "model's own predictions (no label needed)",
    )
    adversarial_radius: float = Field(1.0, gt=0, le=1000, description="length of that move, as a norm over a text")
    adversarial_step: float = Field(0.3, gt=0, le=1000, description="length of one step of pgd and freelb")
    adversarial_steps: int = Field(3, ge=1, le=20, description="steps of pgd, freelb and of vat's power iteration")
    adversarial_weight: Weight = Field(1.0, description="weight of the adversarial loss beside the plain one")
    unlabeled: str = Field("", description="file of texts without labels that vat learns from too; empty: none")


class AugmentSettings(Section):
    """Noise on the words of the training texts, drawn anew each epoch."""

    augment: Rate = Field(0.0, description="share of the training texts that are altered, each epoch others (0: none)")
    swap: Rate = Field(0.0, description="share of an altered text's words that change places with a neighbor")
    delete: Rate = Field(0.0, description="share of its words that are left out")
    insert: Rate = Field(0.0, description="share of its words after which a word of the same text is put in")
    typos: Rate = Field(0.0, description="share of its words that get a typing error")
    replace: Rate = Field(0.0, description="share of its words that are replaced by a synonym, where there is one")
    synonyms: str = Field("", description="file of synonyms: on each line words that may stand for one another")


class StartSettings(Section):
    """What the weights are before the first step, and which of them wait."""

    word_vectors: str = Field("", description="file of word vectors (word2vec or GloVe text) for the embeddings")
    start_from: str = Field(
        "", description="run, or folder of a Hugging Face checkpoint of the BERT family, whose weights are taken over"
    )
    freeze: Names = Field((), description="what keeps its weights: embedding, encoder, encoder.0, pooling, ...")
    unfreeze_epochs: float = Field(
        0.0, ge=0, le=1000, description="epochs after which the next frozen layer from the top is freed (0: never)"
    )


class DistillSettings(Section):
    """A teacher, and what of it is imitated."""

    teacher: Names = Field(
        (), description="run whose predictions are imitated, or several, whose logits are averaged; empty: none"
    )
    distill_weight: Rate = Field(0.5, description="share of the loss that is the teacher's; the labels keep the rest")
    temperature: float = Field(2.0, gt=0, le=100, description="what both sides' logits are divided by")
    hidden_weight: Weight = Field(0.0, description="weight of the distance between both sides' summaries of a text")
    attention_weight: Weight = Field(0.0, description="weight of the divergence between both sides' attention maps")

    @field_validator("teacher", mode="before")
    @classmethod
    def _one_teacher(cls, value: object) -> object:
        return ([value] if value else []) if isinstance(value, str) else value
