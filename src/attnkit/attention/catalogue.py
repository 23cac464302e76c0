# ruff: noqa: E501
"""The catalogue: operators that have a name of their own, under that name."""

from dataclasses import dataclass

from attnkit.attention.base import Attention
from attnkit.attention.combine import Mixture, Sum, Then
from attnkit.attention.factored import CausalLinear, Linear, Linformer, Nystrom, Performer
from attnkit.attention.nearest import nearest
from attnkit.attention.normalizer import Entmax, Sigmoid, Sink, Sparsemax, TopK
from attnkit.attention.pairwise import Pairwise
from attnkit.attention.pattern import (
    Anchors,
    Causal,
    Dilated,
    Documents,
    Fixed,
    Neighbours2D,
    Prefix,
    RandomBlocks,
    Segments,
    Strided,
    Window,
)
from attnkit.attention.position import Alibi, ClippedBias, Learned, RelativeBias, Rotary, Sinusoid
from attnkit.attention.refine import Convolution, HeadGate, Recurrent, Span, TalkingHeads, Temperature
from attnkit.attention.score import Additive, Cosine, Dot, Euclidean, General, Location, SoftCap


@dataclass(frozen=True)
class Entry:
    """One line: the operator, what it is in a few words, where it comes from, and a toy problem that it can solve.

    `witness_tokens` is a length at which each claim that the operator does not make is seen to fail: longer than its
    window, for one.
    """

    operator: Attention
    summary: str
    source: str
    toy: str
    witness_tokens: int = 24


def named(name: str) -> Attention:
    """The operator called `name`, or known by that name among the `OTHER_NAMES`.

    Raises: ValueError naming the nearest line where there is none.
    """
    name = OTHER_NAMES.get(name, name)
    if name not in CATALOGUE:
        raise ValueError(f"no attention is called {name!r}{nearest(name, CATALOGUE)}; `attn list` shows all")
    return CATALOGUE[name].operator


# What textbooks call the scores, for those who know them by these names.
OTHER_NAMES = {
    "additive": "bahdanau",
    "dot": "luong-dot",
    "scaled-dot": "vaswani",
    "general": "luong-general",
    "location": "luong-location",
}
# One operator a line, so that the table reads as one.
# fmt: off
CATALOGUE: dict[str, Entry] = {
    # scores
    "vaswani": Entry(Pairwise(), "scaled dot product, softmax", "Vaswani et al. (2017)", "reverse"),
    "bahdanau": Entry(Pairwise(Additive(hidden=64)), "additive score: a small network reads query and key", "Bahdanau, Cho and Bengio (2015)", "needle"),
    "luong-dot": Entry(Pairwise(Dot()), "plain dot product", "Luong, Pham and Manning (2015)", "copy"),
    "luong-general": Entry(Pairwise(General()), "dot product through a learned matrix", "Luong, Pham and Manning (2015)", "copy"),
    "luong-location": Entry(Pairwise(Location(max_keys=512)), "the query alone says where to look", "Luong, Pham and Manning (2015)", "copy"),
    "cosine": Entry(Pairwise(Cosine()), "the angle between query and key, with a learned scale", "Henry et al. (2020)", "copy"),
    "euclidean": Entry(Pairwise(Euclidean()), "the distance between query and key, with a learned width", "Nadaraya (1964); Kim et al. (2021)", "copy"),
    "soft-cap": Entry(Pairwise(SoftCap(cap=50.0)), "scores kept between -50 and 50 by a tanh", "Gemma Team (2024)", "reverse"),
    # normalizers
    "sparsemax": Entry(Pairwise(normalizer=Sparsemax()), "weights that are often exactly zero", "Martins and Astudillo (2016)", "needle"),
    "entmax-1.5": Entry(Pairwise(normalizer=Entmax(1.5)), "between softmax and sparsemax", "Peters, Niculae and Martins (2019)", "needle"),
    "adaptive-entmax": Entry(Pairwise(normalizer=Entmax(None)), "each head learns how sparse it is", "Correia, Niculae and Martins (2019)", "reverse"),
    "sigmoid": Entry(Pairwise(normalizer=Sigmoid()), "each key for itself: rows need not sum to one", "Ramapuram et al. (2024)", "reverse"),
    "top-k": Entry(Pairwise(normalizer=TopK(8)), "softmax over the 8 best keys", "Zhao et al. (2019); Gupta et al. (2021)", "copy"),
    "off-by-one": Entry(Pairwise(normalizer=Sink(0.0)), "softmax with one more key that has no value", "Miller (2023)", "needle"),
    "sink": Entry(Pairwise(normalizer=Sink(None)), "the same with a learned logit a head", "Agarwal et al. (2025), gpt-oss", "needle"),
    # positions
    "rope": Entry(Pairwise(position=Rotary()), "queries and keys turned by their position", "Su et al. (2021)", "reverse"),
    "alibi": Entry(Pairwise(position=Alibi(), pattern=Causal()), "a linear penalty on distance, causal", "Press, Smith and Lewis (2022)", "neighbour"),
    "t5": Entry(Pairwise(Dot(), RelativeBias()), "a learned bias on bucketed distances, unscaled dot product", "Raffel et al. (2020)", "neighbour"),
    "shaw": Entry(Pairwise(position=ClippedBias(16)), "a learned bias a clipped distance", "Shaw, Uszkoreit and Vaswani (2018)", "neighbour"),
    "sinusoid": Entry(Pairwise(position=Sinusoid()), "waves of position added to queries and keys", "Vaswani et al. (2017)", "reverse"),
    "learned-position": Entry(Pairwise(position=Learned(512)), "one learned row a position", "Gehring et al. (2017)", "reverse"),
    # patterns
    "causal": Entry(Pairwise(pattern=Causal()), "no query meets a later key", "Vaswani et al. (2017)", "neighbour"),
    "window": Entry(Pairwise(pattern=Window(65)), "each token meets the 32 on either side", "Beltagy, Peters and Cohan (2020)", "neighbour", 160),
    "dilated": Entry(Pairwise(pattern=Dilated(33, dilation=2)), "a window with holes", "Beltagy, Peters and Cohan (2020)", "two-back", 160),
    "segments": Entry(Pairwise(pattern=Segments(width_tokens=64)), "pieces of 64 tokens that do not see one another", "Child et al. (2019)", "neighbour", 160),
    "documents": Entry(Pairwise(pattern=Documents()), "packed texts that do not see one another", "Krell et al. (2021)", "reverse"),
    "prefix-lm": Entry(Pairwise(pattern=Prefix(64)), "both ways within the first 64 tokens, one way after", "Raffel et al. (2020)", "neighbour", 160),
    "longformer": Entry(Pairwise(pattern=Window(65) | Anchors(1)), "a window, and one token that sees all and is seen by all", "Beltagy, Peters and Cohan (2020)", "neighbour", 160),
    "bigbird": Entry(Pairwise(pattern=Window(49) | Anchors(2) | RandomBlocks(16, 3)), "a window, global tokens and random blocks", "Zaheer et al. (2020)", "neighbour", 192),
    "star-transformer": Entry(Pairwise(pattern=Window(3) | Anchors(1)), "the two neighbours and one hub", "Guo et al. (2019)", "neighbour"),
    "sparse-transformer": Entry(Pairwise(pattern=Window(32, causal=True) | Strided(32, causal=True)), "the last 32, and every 32nd before", "Child et al. (2019)", "neighbour", 96),
    "sparse-transformer-fixed": Entry(Pairwise(pattern=Fixed(32, 4, causal=True)), "the own block, and the last 4 of each", "Child et al. (2019)", "neighbour", 96),
    "image-local": Entry(Pairwise(pattern=Neighbours2D(columns=8, radius=1)), "the neighbours on a grid of 8 columns", "Parmar et al. (2018)", "itself"),
    # without a T x S map
    "linear": Entry(Linear(), "softmax replaced by a product of positive features", "Katharopoulos et al. (2020)", "reverse"),
    "causal-linear": Entry(CausalLinear(), "the same over the keys so far: a recurrent network", "Katharopoulos et al. (2020)", "neighbour"),
    "performer": Entry(Performer(features=128), "softmax estimated with 128 random features", "Choromanski et al. (2021)", "reverse"),
    "linformer": Entry(Linformer(rank=64, max_keys=512), "keys and values projected along the sequence to 64", "Wang et al. (2020)", "reverse"),
    "nystrom": Entry(Nystrom(landmarks=32), "the map rebuilt from 32 landmarks", "Xiong et al. (2021)", "reverse", 80),
    # several at once
    "hybrid": Entry(Sum((Pairwise(pattern=Window(65)), Linear())), "a window near by plus linear attention to all", "Zhu et al. (2021)", "neighbour", 160),
    "mixture": Entry(Mixture((Pairwise(pattern=Window(65)), Pairwise())), "each query weighs a window against everything", "Jacobs et al. (1991)", "reverse", 160),
    "hierarchical": Entry(Then(Pairwise(), Pairwise(pattern=Segments(width_tokens=64))), "within segments of 64, then over all", "Yang et al. (2016)", "reverse", 160),
    "axial": Entry(Then(Pairwise(pattern=Strided(16)), Pairwise(pattern=Segments(width_tokens=16))), "along rows of 16, then along columns", "Ho et al. (2019)", "itself", 48),
    # refined
    "talking-heads": Entry(Pairwise(refine=(TalkingHeads(),)), "heads mix what they score and what they weigh", "Shazeer et al. (2020)", "reverse"),
    "temperature": Entry(Pairwise(refine=(Temperature(),)), "each head learns how sharp it looks", "Lin et al. (2018)", "reverse"),
    "log-length": Entry(Pairwise(refine=(Temperature(log_length=True),)), "as sharp over ten thousand keys as over ten", "Chiang and Cholak (2022); Nakanishi (2025)", "reverse"),
    "adaptive-span": Entry(Pairwise(pattern=Causal(), refine=(Span(max_tokens=64, ramp_tokens=16),)), "each head learns how far back it looks", "Sukhbaatar et al. (2019)", "neighbour", 160),
    "convolution": Entry(Pairwise(refine=(Convolution(queries=3, keys=3),)), "neighbouring pairs lend one another weight", "Wang et al. (2021)", "reverse"),
    "multi-token": Entry(Pairwise(pattern=Causal(), refine=(Convolution(queries=3, keys=3, causal=True),)), "the same, causal", "Golovneva et al. (2025)", "neighbour"),
    "recurrent": Entry(Pairwise(refine=(Recurrent(),)), "a layer begins from what the layer below looked at", "He et al. (2021)", "reverse"),
    "evolving": Entry(Pairwise(refine=(Recurrent(), Convolution(queries=3, keys=3))), "maps that flow from layer to layer and are convolved", "Wang et al. (2021)", "reverse"),
    "head-gate": Entry(Pairwise(refine=(HeadGate(),)), "each head learns how much it says", "Voita et al. (2019)", "reverse"),
    # as well-known models have them
    "gpt-2": Entry(Pairwise(position=Learned(1024), pattern=Causal()), "causal, learned positions", "Radford et al. (2019)", "neighbour"),
    "llama": Entry(Pairwise(position=Rotary(), pattern=Causal()), "causal, rotary positions", "Touvron et al. (2023)", "neighbour"),
    "mistral": Entry(Pairwise(position=Rotary(), pattern=Window(64, causal=True)), "a causal window, rotary positions", "Jiang et al. (2023)", "neighbour", 160),
    "gemma-2": Entry(Pairwise(SoftCap(cap=50.0), Rotary(), Window(64, causal=True)), "the same with capped scores", "Gemma Team (2024)", "neighbour", 160),
    "gpt-oss": Entry(Pairwise(position=Rotary(), pattern=Window(64, causal=True), normalizer=Sink(None)), "a causal window, rotary positions and a learned sink", "Agarwal et al. (2025)", "neighbour", 160),
    "swin-v2": Entry(Pairwise(Cosine(), ClippedBias(16), Segments(width_tokens=64)), "cosine within segments, a learned bias a distance", "Liu et al. (2022)", "neighbour", 160),
}
# fmt: on
