"""The BERT family: how each member writes its sizes and names its weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from attnkit.errors import UsageError

_BERT = {
    "embeddings.word_embeddings.": "embedding.rows.",
    "embeddings.position_embeddings.": "places.positions.",
    "embeddings.token_type_embeddings.": "places.sides.",
    "embeddings.LayerNorm.": "encoder.input_norm.",
    "embeddings_project.": "encoder.project.",
}
_BERT_LAYER = {
    "attention.self.query.": "attention.query.",
    "attention.self.key.": "attention.key.",
    "attention.self.value.": "attention.value.",
    "attention.output.dense.": "attention.out.",
    "attention.output.LayerNorm.": "attention_norm.",
    "intermediate.dense.": "wide.0.",
    "output.dense.": "wide.2.",
    "output.LayerNorm.": "wide_norm.",
}
_DISTIL_LAYER = {
    "attention.q_lin.": "attention.query.",
    "attention.k_lin.": "attention.key.",
    "attention.v_lin.": "attention.value.",
    "attention.out_lin.": "attention.out.",
    "sa_layer_norm.": "attention_norm.",
    "ffn.lin1.": "wide.0.",
    "ffn.lin2.": "wide.2.",
    "output_layer_norm.": "wide_norm.",
}
_BERT_SIZES = {
    "width": "hidden_size",
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
    "inner_width": "intermediate_size",
    "positions": "max_position_embeddings",
    "sides": "type_vocab_size",
    "norm_epsilon": "layer_norm_eps",
    "activation": "hidden_act",
}
_DISTIL_SIZES = {
    "width": "dim",
    "layers": "n_layers",
    "heads": "n_heads",
    "inner_width": "hidden_dim",
    "positions": "max_position_embeddings",
    "activation": "activation",
}


@dataclass(frozen=True)
class Family:
    """One `model_type`: names of its sizes in config.json, prefixes of its weights, and rows its positions begin at.

    Source: the configurations and state dictionaries of transformers 5.
    """

    sizes: Mapping[str, str]
    layer_prefix: str
    layer: Mapping[str, str]
    first_position: int = 0


FAMILIES = {
    "bert": Family(_BERT_SIZES, "encoder.layer.", _BERT_LAYER),
    # The positions of RoBERTa are counted from the id of its padding on, which is 1.
    "roberta": Family(_BERT_SIZES, "encoder.layer.", _BERT_LAYER, first_position=2),
    "distilbert": Family(_DISTIL_SIZES, "transformer.layer.", _DISTIL_LAYER),
    "electra": Family({**_BERT_SIZES, "embedding_width": "embedding_size"}, "encoder.layer.", _BERT_LAYER),
}


def family_of(config: Mapping[str, Any], where: str) -> Family:
    """The family of a config.json.

    Raises: UsageError naming those known where it is none of them, or a setting changes what its layers compute.
    """
    kind = config.get("model_type")
    if kind not in FAMILIES:
        raise UsageError(
            f"{where} is a model of the type {kind!r}; those that can be taken over are {', '.join(FAMILIES)}"
        )
    family = FAMILIES[str(kind)]
    activation = config.get(family.sizes["activation"], "gelu")
    if activation != "gelu":
        raise UsageError(f"{where} says {family.sizes['activation']} = {activation!r}; only 'gelu' can be taken over")
    positions = config.get("position_embedding_type") or "absolute"
    if positions != "absolute":
        raise UsageError(f"{where} says position_embedding_type = {positions!r}; only 'absolute' can be taken over")
    if config.get("is_decoder"):
        raise UsageError(f"{where} is a decoder; only encoders can be taken over")
    return family


def our_name(family: Family, name: str) -> str | None:
    """What our networks call the weight `name` of a checkpoint; None where they have no place for it."""
    for prefix in (*(f"{kind}." for kind in FAMILIES), ""):
        if name.startswith(prefix):
            name = name.removeprefix(prefix)
            break
    for theirs, ours in _BERT.items():
        if name.startswith(theirs):
            return ours + _weight(name.removeprefix(theirs))
    number, dot, rest = name.removeprefix(family.layer_prefix).partition(".")
    if not name.startswith(family.layer_prefix) or not dot or not number.isdigit():
        return None
    for theirs, ours in family.layer.items():
        if rest.startswith(theirs):
            return f"encoder.layers.{number}.{ours}{_weight(rest.removeprefix(theirs))}"
    return None


def _weight(name: str) -> str:
    # Checkpoints that were made from TensorFlow call the two numbers of a norm otherwise.
    return {"gamma": "weight", "beta": "bias"}.get(name, name)
