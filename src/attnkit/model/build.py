"""From the [model] section to a network."""

from torch import nn

from attnkit.model.bert import BertEncoder, BertPlaces
from attnkit.model.bilstm import BiLSTM
from attnkit.model.changes import apply_changes, changes_from_plain, vocabulary_before
from attnkit.model.classifier import TextClassifier
from attnkit.model.cnn import CNN
from attnkit.model.embedding import MASK, SEPARATOR, Embedding
from attnkit.model.hierarchical import HierarchicalClassifier
from attnkit.model.language import LanguageModel
from attnkit.model.ngram_rows import NgramRows
from attnkit.model.ngrams import HashedNgrams
from attnkit.model.operator import operator
from attnkit.model.settings import ModelSettings, chosen
from attnkit.model.summary import Summary
from attnkit.model.transformer import TransformerEncoder
from attnkit.model.wide import WideNgrams

Classifier = TextClassifier | HierarchicalClassifier
Network = Classifier | LanguageModel


def build_model(settings: ModelSettings, vocabulary_size: int, outputs: int, *, allow_code: bool = False) -> Network:
    """The network that `settings` describe, with fresh weights from torch's generator.

    It is called with ids_BT and keep_BT (ids_BNT and keep_BNT where hierarchical) and answers logits_BC; with ids_1N
    and their Pieces too, unless it `refuses_packing`. With `settings.language` the network predicts words instead, and
    `outputs` is 3. Last come its changes, after which it knows `vocabulary_size` tokens.

    Raises: ValueError where the settings contradict each other or still say "auto", or a change cannot be made.
    """
    changes = changes_from_plain(settings.changes)
    network = _unchanged(settings, vocabulary_before(changes, vocabulary_size), outputs, allow_code)
    apply_changes(network, changes)
    return network


def _unchanged(settings: ModelSettings, vocabulary_size: int, outputs: int, allow_code: bool) -> Network:
    embedding_width, width = chosen(settings.embedding_width), chosen(settings.width)
    dropout = chosen(settings.dropout)
    beside: tuple[str, ...] = chosen(settings.beside)
    embedding = Embedding(
        vocabulary_size,
        embedding_width,
        word_dropout=chosen(settings.word_dropout),
        dropout=chosen(settings.embedding_dropout),
        spared=MASK if settings.encoder == "bert" else SEPARATOR,
    )
    encoder = build_encoder(settings, embedding_width, allow_code)
    places = None
    if settings.encoder == "bert":
        if chosen(settings.hierarchical):
            raise ValueError("bert reads whole texts, with places of its own; set model.hierarchical = false")
        places = BertPlaces(embedding_width, positions=settings.positions, sides=settings.sides)
    if settings.language != "none":
        if chosen(settings.hierarchical) or chosen(settings.ngrams) > 1 or settings.wide_ngrams not in (0, "auto"):
            raise ValueError(
                "words are predicted in whole texts of single words; leave hierarchical, ngrams and wide_ngrams out"
            )
        return LanguageModel(embedding, encoder, width, settings.language, places)
    words_beside = encoder is not None and chosen(settings.words_beside) and not chosen(settings.hierarchical)
    read_width = (width if encoder is not None else 0) + (embedding_width if words_beside or encoder is None else 0)
    pooling = operator(settings.pooling, allow_code)
    summary = Summary(read_width, pooling, queries=settings.pooling_queries, beside=beside)
    if chosen(settings.hierarchical):
        if chosen(settings.ngrams) > 1 or settings.wide_ngrams not in (0, "auto"):
            raise ValueError(
                "a hierarchical model reads words, not n-grams; set model.ngrams = 0 and model.wide_ngrams = 0"
            )
        sentences = BiLSTM(summary.width, width)
        last = Summary(width, pooling, queries=settings.pooling_queries, beside=beside)
        return HierarchicalClassifier(embedding, encoder, summary, sentences, last, outputs, dropout)
    longest = chosen(settings.ngrams)
    ngrams = HashedNgrams(longest, settings.ngram_buckets, embedding_width) if longest > 1 else None
    branch_dropout = chosen(settings.branch_dropout) if settings.wide_ngrams not in (0, "auto") else 0.0
    wide = build_wide(settings, vocabulary_size, outputs)
    return TextClassifier(
        embedding, ngrams, encoder, summary, outputs, dropout, words_beside, places, wide, branch_dropout
    )


def build_wide(settings: ModelSettings, vocabulary_size: int, outputs: int) -> WideNgrams | None:
    """The wide branch, which knows no n-gram before it is fitted; None where there is none."""
    # A run of before there was a wide branch has none.
    longest = 0 if settings.wide_ngrams == "auto" else settings.wide_ngrams
    if not longest:
        return None
    rows = NgramRows(vocabulary_size, chosen(settings.wide_rows) if longest > 1 else 1, longest)
    return WideNgrams(rows, outputs, settings.wide_dropout, settings.wide_leave_one_out)


def build_encoder(settings: ModelSettings, input_width: int, allow_code: bool = False) -> nn.Module | None:
    """What reads the words; None where the pooling reads the embeddings themselves."""
    width, dropout = chosen(settings.width), chosen(settings.dropout)
    weights = dropout if settings.attention_dropout == "same" else settings.attention_dropout
    layered = settings.encoder in ("transformer", "bert")
    for name, given in (("attention", settings.attention_dropout != "same"), ("layer", settings.layer_dropout > 0)):
        if given and not layered:
            raise ValueError(
                f"model.{name}_dropout is for the layers of a transformer or bert, and the encoder is "
                f"{settings.encoder}; leave it out"
            )
    match chosen(settings.encoder):
        case "bilstm":
            return BiLSTM(input_width, width, layers=settings.layers, dropout=dropout)
        case "cnn":
            return CNN(input_width, width, settings.kernel_widths_tokens, layers=settings.layers, dropout=dropout)
        case "transformer":
            spec = operator(settings.attention, allow_code)
            return TransformerEncoder(
                input_width,
                width,
                spec,
                layers=settings.layers,
                heads=settings.heads,
                dropout=dropout,
                attention_dropout=weights,
                layer_dropout=settings.layer_dropout,
            )
        case "bert":
            return BertEncoder(
                input_width,
                width,
                operator(settings.attention, allow_code),
                layers=settings.layers,
                heads=settings.heads,
                inner_width=settings.inner_width or 4 * width,
                epsilon=settings.norm_epsilon,
                dropout=dropout,
                attention_dropout=weights,
                layer_dropout=settings.layer_dropout,
            )
    return None
