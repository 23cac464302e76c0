"""What is explained: one number that a model gives for one text, and the model as something to ask again and again."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from attnkit.errors import UsageError
from attnkit.model.embedding import SEPARATOR, UNKNOWN
from attnkit.train.predictor import Predictor, Text

Kind = Literal["single", "multi", "score"]
Reads = Literal["first", "last", "mean"]
KINDS: tuple[Kind, ...] = ("single", "multi", "score")
READS: tuple[Reads, ...] = ("first", "last", "mean")

# Tokens of one call: what fits a small machine's caches, and leaves gradients of a few layers below a gigabyte.
TOKENS_A_CALL = 16_384
TOKENS_WITH_GRADIENTS = 8_192


@dataclass(frozen=True)
class Item:
    """One text as the model reads it; `movable` is False for tokens that stand in every text ([CLS], a separator)."""

    ids: tuple[int, ...]
    tokens: tuple[str, ...]
    movable: tuple[bool, ...]

    @property
    def T(self) -> int:
        """Number of tokens."""
        return len(self.ids)


@dataclass(frozen=True)
class Target:
    """The output that is explained.

    `value` is its log-odds against all other classes (of a score: the score), which explanations split up among the
    tokens; `share` is its probability (of a score: the score), which verdicts watch.
    """

    index: int
    label: str
    value: float
    share: float

    def to_dict(self) -> dict[str, object]:
        """Plain data for JSON."""
        return asdict(self)


class Subject:
    """A model that goes from ids through embeddings to logits, with all that is needed to change a text and ask again.

    `logits(ids_BT, keep_BT)` gives logits (B, C), keep True on real tokens. `embeddings` are the modules whose outputs
    (B, T, M) stand for the tokens; each must run once a call. `replacement` is the id that stands in for a token which
    is taken away, and `specials` are ids that are never taken away. `kind` is "single" (softmax), "multi" (a sigmoid a
    class) or "score" (the outputs as they are). `reads` is the position that the logits are read from where no
    attention pooling says it: "first" ([CLS]), "last" or "mean".

    Raises: UsageError where the network is in training mode, or a choice is unknown.
    """

    def __init__(
        self,
        network: nn.Module,
        embeddings: Sequence[nn.Module],
        logits: Callable[[Tensor, Tensor], Tensor],
        *,
        replacement: int,
        kind: Kind = "single",
        classes: Sequence[str] = (),
        specials: Sequence[int] = (),
        reads: Reads = "first",
        encode: Callable[[Sequence[Any]], list[list[int]]] | None = None,
        words: Callable[[Sequence[int]], list[str]] | None = None,
    ) -> None:
        if network.training:
            raise UsageError(f"{type(network).__name__} is in training mode, where dropout moves answers; eval() it")
        if kind not in KINDS:
            raise UsageError(f"kind must be one of {', '.join(KINDS)}; got {kind!r}")
        if reads not in READS:
            raise UsageError(f"reads must be one of {', '.join(READS)}; got {reads!r}")
        if not embeddings:
            raise UsageError("a subject needs the module that turns ids into vectors; give embeddings=[...]")
        self.network, self.embeddings = network, tuple(embeddings)
        self._logits, self.replacement, self.kind, self.reads = logits, replacement, kind, reads
        self.classes, self.specials = tuple(classes), frozenset(specials)
        self._encode, self._words = encode, words
        self.device = next((p.device for p in network.parameters()), torch.device("cpu"))

    @classmethod
    def of_predictor(cls, predictor: Predictor) -> "Subject":
        """The model of a run; a token that is taken away becomes the unknown one.

        Raises: UsageError where it is hierarchical.
        """
        prepare, network = predictor.preprocessing, predictor.network
        if prepare.hierarchical:
            raise UsageError(
                "a hierarchical model reads a table of sentences, and tokens are explained in one row of them; "
                "train with model.hierarchical = false to explain predictions"
            )
        parts = [getattr(network, name, None) for name in ("embedding", "ngrams")]
        wide = getattr(network, "wide", None)
        parts.append(None if wide is None else wide.features)

        def encode(texts: Sequence[Text]) -> list[list[int]]:
            _check_texts(texts, predictor.paired)
            if predictor.paired:
                found = prepare.encode([text[0] for text in texts], [text[1] for text in texts])
            else:
                found = prepare.encode([str(text) for text in texts])
            return [[int(number) for number in ids] for ids in found]  # type: ignore[arg-type]

        return cls(
            network,
            [part for part in parts if part is not None],
            lambda ids_BT, keep_BT: network(ids_BT, keep_BT),
            replacement=UNKNOWN,
            kind=predictor.task.kind,  # type: ignore[arg-type]
            classes=predictor.classes,
            specials=(SEPARATOR, *prepare.tokenizer.frame.before),
            encode=encode,
            words=lambda ids: prepare.tokenizer.tokens(list(ids)),
        )

    @classmethod
    def of_hugging_face(
        cls, model: nn.Module, tokenizer: Any = None, *, replacement: int | None = None, reads: Reads = "first"
    ) -> "Subject":
        """A sequence classifier of transformers, and its tokenizer where texts rather than ids are to be explained.

        Raises: UsageError where there is neither a tokenizer with a mask, unknown or padding token nor a `replacement`.
        """
        config: Any = model.config
        kept = {getattr(tokenizer, f"{name}_token_id", None) for name in ("mask", "unk")}
        specials = [number for number in getattr(tokenizer, "all_special_ids", ()) if number not in kept]
        known = (getattr(tokenizer, f"{name}_token_id", None) for name in ("mask", "unk", "pad"))
        instead = replacement if replacement is not None else next((one for one in known if one is not None), None)
        if instead is None:
            raise UsageError("nothing says which token stands in for one that is taken away; give replacement=its id")
        problem = getattr(config, "problem_type", None)
        outputs = int(config.num_labels)
        kind: Kind = "multi" if problem == "multi_label_classification" else "score" if outputs == 1 else "single"
        return cls(
            model,
            [model.get_input_embeddings()],  # type: ignore[operator]
            lambda ids_BT, keep_BT: model(input_ids=ids_BT, attention_mask=keep_BT.long()).logits,
            replacement=int(instead),
            kind=kind,
            classes=[str(config.id2label[number]) for number in range(outputs)] if outputs > 1 else (),
            specials=specials,
            reads=reads,
            encode=None if tokenizer is None else lambda texts: tokenizer(list(texts), truncation=True)["input_ids"],
            words=None if tokenizer is None else tokenizer.convert_ids_to_tokens,
        )

    def items(self, texts: Sequence[Text]) -> list[Item]:
        """The texts as the model reads them.

        Raises: UsageError where the subject was made without a way to turn texts into ids, or a text does not fit.
        """
        if self._encode is None:
            raise UsageError("this subject knows no tokenizer; make items of ids: subject.item(ids, tokens)")
        return [self.item(ids) for ids in self._encode(texts)]

    def item(self, ids: Sequence[int], tokens: Sequence[str] | None = None) -> Item:
        """One text given as ids; `tokens` are its written forms, the ids themselves where nothing says them.

        Raises: UsageError where there are not as many tokens as ids.
        """
        if tokens is None:
            tokens = [str(number) for number in ids] if self._words is None else self._words(list(ids))
        if len(tokens) != len(ids):
            raise UsageError(f"{len(ids)} ids need as many tokens; got {len(tokens)}")
        return Item(tuple(ids), tuple(tokens), tuple(number not in self.specials for number in ids))

    def ids_1T(self, item: Item) -> Tensor:
        """The ids of a text as a batch of one."""
        return torch.tensor([item.ids], dtype=torch.int64, device=self.device)

    def blank_1T(self, item: Item) -> Tensor:
        """The same with every token taken away that can be."""
        gone = torch.tensor([item.movable], dtype=torch.bool, device=self.device)
        return self.ids_1T(item).masked_fill(gone, self.replacement)

    def answers(self, ids_BT: Tensor) -> Tensor:
        """Logits (B, C) in float32, without gradients, some rows at a time; every token is real."""
        if ids_BT.shape[1] == 0:
            ids_BT, real = ids_BT.new_zeros(len(ids_BT), 1), False
        else:
            real = True
        rows = max(1, TOKENS_A_CALL // ids_BT.shape[1])
        with torch.no_grad():
            found = [self._called(some, real) for some in ids_BT.split(rows)]
        return torch.cat(found).float()

    def embedded(self, ids_BT: Tensor) -> list[Tensor]:
        """What each of the embeddings gives for the ids, (B, T, M) each, without gradients."""
        found: list[list[Tensor]] = [[] for _ in self.embeddings]

        def keep(place: int) -> Callable[[nn.Module, Any, Tensor], None]:
            return lambda module, given, out: found[place].append(out)

        handles = [part.register_forward_hook(keep(place)) for place, part in enumerate(self.embeddings)]
        try:
            with torch.no_grad():
                self._called(ids_BT, True)
        finally:
            for handle in handles:
                handle.remove()
        for part, outs in zip(self.embeddings, found, strict=True):
            if len(outs) != 1 or outs[0].dim() != 3:
                raise UsageError(
                    f"{type(part).__name__} must turn ids into vectors (B, T, M) once a call, and was called "
                    f"{len(outs)} times; give the module that does"
                )
        return [outs[0].clone() for outs in found]

    def logits_of(self, ids_BT: Tensor, embedded: Sequence[Tensor]) -> Tensor:
        """Logits (B, C) with `embedded` in place of what the embeddings give, through which gradients flow."""
        with self._substituted(embedded):
            return self._called(ids_BT, True).float()

    def called(self, ids_BT: Tensor) -> Tensor:
        """Logits (B, C) in one call, just as the model gives them; gradients as the caller has them."""
        return self._called(ids_BT, True).float()

    def values(self, logits_BC: Tensor, index: int) -> Tensor:
        """The number that is explained, (B,): log-odds of a class, or the output itself."""
        own_B = logits_BC[:, index]
        if self.kind != "single":
            return own_B
        others = [place for place in range(logits_BC.shape[1]) if place != index]
        return own_B - logits_BC[:, others].logsumexp(-1)

    def shares(self, logits_BC: Tensor, index: int) -> Tensor:
        """The number that verdicts watch, (B,): the probability of a class, or the output itself."""
        value_B = self.values(logits_BC, index)
        return value_B if self.kind == "score" else value_B.sigmoid()

    def target(self, item: Item, index: int | None = None) -> Target:
        """The output to explain: number `index`, the likeliest where None.

        Raises: UsageError where there is no such output, or a single class without any other.
        """
        logits_1C = self.answers(self.ids_1T(item))
        outputs = logits_1C.shape[1]
        if self.kind == "single" and outputs < 2:
            raise UsageError('one output alone is no choice among classes; say kind="multi" or kind="score"')
        if index is not None and not 0 <= index < outputs:
            raise UsageError(f"there is no output {index}; this model has {outputs}")
        chosen = int(logits_1C[0].argmax()) if index is None else index
        label = self.classes[chosen] if chosen < len(self.classes) else "score" if self.kind == "score" else str(chosen)
        value, share = (float(of(logits_1C, chosen)[0]) for of in (self.values, self.shares))
        return Target(chosen, label, value, share)

    def _called(self, ids_BT: Tensor, real: bool) -> Tensor:
        keep_BT = torch.full(ids_BT.shape, real, dtype=torch.bool, device=ids_BT.device)
        return self._logits(ids_BT, keep_BT)

    @contextmanager
    def _substituted(self, embedded: Sequence[Tensor]) -> Iterator[None]:
        def put(x: Tensor) -> Callable[[nn.Module, Any, Tensor], Tensor]:
            return lambda module, given, out: x

        handles = [part.register_forward_hook(put(x)) for part, x in zip(self.embeddings, embedded, strict=True)]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


def _check_texts(texts: Sequence[Text], paired: bool) -> None:
    if isinstance(texts, str):
        raise UsageError("a list of texts is explained, and this is one bare string; put it in a list")
    for number, text in enumerate(texts, 1):
        fits = isinstance(text, (tuple, list)) and len(text) == 2 if paired else isinstance(text, str)
        if not fits:
            wanted = "a pair of texts" if paired else "a string"
            raise UsageError(f"text {number} must be {wanted}, as in training; got {type(text).__name__}")
