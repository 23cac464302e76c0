"""The [model] section of a recipe: every size and choice that decides what network is built."""

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

Auto = Literal["auto"]
Width = Annotated[int, Field(ge=1, le=8192)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
Share = Annotated[float, Field(ge=0, lt=1)]
Operator = str | dict[str, Any]
T = TypeVar("T")


class Section(BaseModel):
    """One table of a recipe: frozen, every field described, an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)


def chosen(value: T | Auto) -> T:
    """The value of a field whose "auto" has been settled.

    Raises: ValueError while it still says "auto".
    """
    if value == "auto":
        raise ValueError('a field still says "auto"; settle the recipe from the data first (attnkit.train does)')
    return value


class ModelSettings(Section):
    """What network is built."""

    language: Literal["none", "masked", "causal"] = Field(
        "none",
        description="predict words instead of labels (`attn pretrain`): masked ones from the whole text, or, causal, "
        "each from those before it",
    )
    encoder: Literal["auto", "bilstm", "cnn", "transformer", "bert", "none"] = Field(
        "auto",
        description="what reads the words: bilstm, cnn, transformer, bert (as its checkpoints are built), or none (the "
        "pooling reads the embeddings)",
    )
    hierarchical: bool | Auto = Field(
        "auto", description="read a document as sentences of words, with one attention pooling over each"
    )
    embedding_width: Width | Auto = Field("auto", description="numbers a word is represented by")
    width: Width | Auto = Field("auto", description="width M of what the encoder gives a position (even)")
    layers: int = Field(1, ge=1, le=64, description="encoder layers, one on another")
    heads: int = Field(4, ge=1, le=256, description="attention heads of a transformer layer")
    inner_width: int = Field(
        0, ge=0, le=65_536, description="width between the two maps of a bert layer (0: four times the width)"
    )
    positions: int = Field(512, ge=1, le=65_536, description="tokens that the learned positions of bert reach")
    sides: int = Field(2, ge=1, le=16, description="learned vectors that tell the texts of a pair apart (bert)")
    norm_epsilon: float = Field(1e-12, gt=0, le=1, description="what keeps a division in the norms of bert finite")
    kernel_widths_tokens: tuple[int, ...] = Field(
        (2, 3, 4), strict=False, min_length=1, max_length=16, description="widths of the filters of a cnn, in tokens"
    )
    attention: Operator = Field(
        "vaswani", description="operator inside transformer layers: a catalogue name or a table of parts"
    )
    pooling: Operator = Field(
        "bahdanau", description="operator that pools positions into one vector: a catalogue name or a table of parts"
    )
    pooling_queries: int = Field(1, ge=1, le=64, description="learned queries of the pooling, read side by side")
    beside: Annotated[tuple[Literal["mean", "max", "first"], ...], Field(strict=False, max_length=3)] | Auto = Field(
        "auto", description="plain summaries that stand beside the attention pooling: mean, max, first (its [CLS])"
    )
    words_beside: bool | Auto = Field(
        "auto",
        description="put each word's embedding beside what the encoder gives at it, for the pooling to read both",
    )
    ngrams: Annotated[int, Field(ge=0, le=4)] | Auto = Field(
        "auto", description="add learned embeddings of word n-grams up to this length (0 or 1: none)"
    )
    ngram_buckets: int = Field(50_000, ge=16, le=4_000_000, description="rows of the hashed n-gram table")
    wide_ngrams: Annotated[int, Field(ge=0, le=5)] | Auto = Field(
        "auto",
        description="add a wide branch to the logits: an attention over the exact word n-grams up to this length, with "
        "values that begin as those of naive Bayes (0: none)",
    )
    wide_rows: Annotated[int, Field(ge=1, le=20_000_000)] | Auto = Field(
        "auto", description="n-grams of two words and more that the wide branch knows"
    )
    wide_min_texts: Count | Auto = Field("auto", description="training texts that hold an n-gram the wide branch knows")
    wide_smoothing: Annotated[float, Field(gt=0, le=1_000_000)] | Auto = Field(
        "auto", description="texts of no class that each n-gram is thought to have stood in besides"
    )
    wide_dropout: Share = Field(0.5, description="share of a text's n-grams that the wide branch misses while training")
    wide_leave_one_out: bool = Field(
        True, description="while training, take each text out of what the wide branch counted (texts of one class)"
    )
    branch_dropout: Annotated[float, Field(ge=0, le=0.5)] | Auto = Field(
        "auto",
        description="share of the texts of a batch that the deep branch answers alone while training, and of those "
        "that the wide one does",
    )
    word_dropout: Share | Auto = Field("auto", description="share of words made unknown while training")
    embedding_dropout: Share | Auto = Field("auto", description="dropout on the embeddings")
    dropout: Share | Auto = Field("auto", description="dropout inside the encoder and before the classifier")
    attention_dropout: Share | Literal["same"] = Field(
        "same", description="share of attention weights dropped in transformer and bert layers; same: as dropout"
    )
    layer_dropout: Share = Field(
        0.0,
        description="share of texts that pass by the last layer of a transformer or bert while training, less below",
    )
    changes: Annotated[tuple[dict[str, Any], ...], Field(strict=False)] = Field(
        (),
        description="what makes the built network smaller, in order: tables with a kind, as `attn shrink` finds them",
    )
