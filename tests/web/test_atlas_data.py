"""What goes into a page is what was captured, as finely as its bytes allow, and what is left out is said."""

import json
import zlib

import numpy as np
import pytest
import torch

from attnkit.attention.where import Where
from attnkit.capture.captured import Capture
from attnkit.capture.record import capture_arrays
from attnkit.page.atlas import SCRIPTS, atlas_page, script
from attnkit.page.atlas_data import Blob, capture_data
from attnkit.page.atlas_edges import LayerEdges, keep_edges
from attnkit.page.quantize import encode, relative_error
from tests.web.captures import random_capture


def decoded(data: bytes, meta: dict) -> np.ndarray:
    """`encode` undone by its docstring."""
    size = int(np.prod(meta["shape"]))
    if meta["kind"] == "exact":
        return np.frombuffer(data, np.uint8).reshape(4, size).T.copy().view("<f4").reshape(meta["shape"])
    low, high = np.frombuffer(data[: 8 * meta["groups"]], "<f4").astype(np.float64).reshape(2, -1, 1)
    width = meta["bits"] // 8
    planes = np.frombuffer(data[8 * meta["groups"] :], np.uint8).reshape(width, size).astype(np.int64)
    codes = sum(plane << (8 * n) for n, plane in enumerate(planes)).reshape(meta["groups"], -1)
    top = 2 ** meta["bits"] - 1
    if meta["kind"] == "linear":
        return (low + (high - low) * codes / top).reshape(meta["shape"])
    return np.where(codes == 0, 0, low * (high / low) ** ((codes - 1) / (top - 1))).reshape(meta["shape"])


def random(*shape: int) -> np.ndarray:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(3)).numpy()


@pytest.mark.parametrize("bits", [8, 16])
def test_linear_codes_are_within_half_a_step_of_each_groups_range(bits: int) -> None:
    values = (random(3, 50) - 0.5) * np.array([[1.0], [100.0], [0.0]])
    back = decoded(*encode(values, bits, groups=3))
    step = np.ptp(values, axis=1, keepdims=True) / (2**bits - 1)
    assert (np.abs(back - values) <= 0.51 * step + 1e-5 * np.abs(values)).all()


@pytest.mark.parametrize("bits", [8, 16])
def test_logarithmic_codes_keep_zeros_and_relative_precision(bits: int) -> None:
    values = np.concatenate([random(400) ** 2 + 1e-3, [0.0, 1.0]])
    back = decoded(*encode(values, bits, log=True))
    assert back[-2] == 0
    there = values > 0
    allowed = relative_error(float(values[there].min()), 1.0, bits) * 1.01 + 1e-6
    assert (np.abs(back - values)[there] / values[there]).max() <= allowed
    assert allowed < {8: 0.02, 16: 1e-4}[bits]


def test_exact_numbers_are_exact_and_what_is_not_finite_becomes_a_number() -> None:
    values = np.array([[1.5, -2e-20], [np.nan, 7.25e7]], dtype=np.float32)
    assert decoded(*encode(values, 32)).tolist() == [[1.5, np.float32(-2e-20)], [0.0, 7.25e7]]


def test_a_logarithmic_code_refuses_negative_numbers() -> None:
    with pytest.raises(ValueError, match="nonnegative"):
        encode(np.array([-1.0, 1.0]), 8, log=True)


def edges_of(T: int = 300, heads: int = 3, seed: int = 0) -> LayerEdges:
    layer = random_capture(1, heads, T, seed=seed).layers[0]
    assert layer.edges is not None
    return LayerEdges.of(layer.edges.weight_BHTN.numpy(), layer.edges.key_BHTN.numpy())


def test_all_edges_stay_exact_where_there_is_room() -> None:
    edges = edges_of()
    kept = keep_edges([edges, None], 1 << 20)
    assert kept.said is None and kept.layers[1] is None
    assert kept.layers[0].meta["edges"] == edges.count() and kept.layers[0].meta["weights"]["kind"] == "exact"


def test_where_there_is_little_room_the_heaviest_stay_and_each_query_of_a_layer_has_one() -> None:
    edges, room = edges_of(), 4000
    kept = keep_edges([edges], room)
    packed = kept.layers[0]
    assert 0.7 * room < kept.size <= room
    assert f"{packed.meta['edges']:,} of the {edges.count():,} captured edges" in kept.said
    count = np.frombuffer(zlib.decompress(packed.data), np.uint8)[: 3 * 300].reshape(3, 300)
    assert (count.sum(0) >= 1).all()
    least = np.sort(edges.weight[edges.weight > 0])[::-1][packed.meta["edges"]]
    heavier = (edges.weight > 1.5 * least).sum((-1,))[0]
    assert (count >= heavier).all()


def test_no_room_at_all_is_said() -> None:
    kept = keep_edges([edges_of()], 10)
    assert kept.layers == [None] and "None of the" in kept.said


def header_of(capture: Capture, room: int) -> tuple[dict, bytes]:
    blob = Blob()
    header = {"captures": [capture_data(capture, blob, room)]}
    data = blob.bytes(header)
    length = int.from_bytes(data[4:8], "little")
    return json.loads(zlib.decompress(data[8 : 8 + length])), data[8 + length :]


def chunk(header: dict, data: bytes, n: int) -> bytes:
    start = sum(header["sizes"][:n])
    return zlib.decompress(data[start : start + header["sizes"][n]])


def test_figures_per_head_are_exact_and_only_of_real_tokens() -> None:
    capture = random_capture(1, 2, 40)
    layer = capture.layers[0]
    keep = torch.arange(40)[None] < 30
    object.__setattr__(layer, "query_keep", keep)
    header, data = header_of(capture, 200)
    told = header["captures"][0]
    summary = decoded(chunk(header, data, told["summary"]["chunk"]), told["summary"])
    entropy = layer.statistics["entropy"][0, :, :30]
    at = told["layers"][0]["names"].index("entropy")
    expected = torch.stack([entropy.mean(-1), entropy.amin(-1), entropy.amax(-1)]).numpy()
    assert np.allclose(summary.reshape(-1, 3, 2)[at], expected, rtol=1e-6)


def test_figures_of_queries_and_of_keys_are_each_of_their_own_real_tokens() -> None:
    q = torch.randn(1, 2, 6, 4, generator=torch.Generator().manual_seed(0))
    where = Where.of(6, 6, keep=torch.arange(6)[None] < 5, query_keep=torch.arange(6)[None] < 2)
    capture = capture_arrays(q, q, q, where=where, kind="cross", statistics=["received"])
    header, data = header_of(capture, 100_000)
    told = header["captures"][0]
    summary = decoded(chunk(header, data, told["summary"]["chunk"]), told["summary"])
    expected = capture.layers[0].statistics["received"][0, :, :5].mean(-1).numpy()
    assert np.allclose(summary.reshape(-1, 3, 2)[0, 0], expected, rtol=1e-6)


def test_blocks_drawn_as_one_are_the_mean_over_real_queries() -> None:
    q = torch.randn(1, 32, 64, 4, generator=torch.Generator().manual_seed(0))
    where = Where.of(64, 64, keep=torch.arange(64)[None] < 41)
    header, data = header_of(capture_arrays(q, q, q, where=where), 60_000)
    told = header["captures"][0]
    (layer,) = told["layers"]
    size = layer["pooled"]["query_tokens"]
    assert size > 1, told["dropped"]
    mass = decoded(chunk(header, data, layer["pooled"]["chunk"]), layer["pooled"])
    assert np.allclose(mass.sum(-1)[0, :, : -(-41 // size)], 1.0, atol=0.1)


def test_what_does_not_fit_is_said_and_what_fits_is_there() -> None:
    capture = random_capture(2, 4, 512)
    rich, _ = header_of(capture, 4_000_000)
    poor, _ = header_of(capture, 30_000)
    assert rich["captures"][0]["dropped"] == []
    assert rich["captures"][0]["layers"][0]["statistics"]["tokens"] == 1
    told = poor["captures"][0]["dropped"]
    assert any("means over" in one for one in told) and any("captured edges" in one for one in told)
    assert sum(poor["sizes"]) <= 33_000


def test_a_capture_of_statistics_alone_makes_a_page() -> None:
    capture = random_capture(1, 2, 16)
    for name in ("pooled", "edges"):
        object.__setattr__(capture.layers[0], name, None)
    header, _ = header_of(capture, 100_000)
    assert header["captures"][0]["layers"][0]["pooled"] is None and not header["captures"][0]["dropped"]


def test_half_a_pair_of_surrogates_is_a_token_like_any_other() -> None:
    q = torch.ones(1, 1, 2, 4)
    capture = capture_arrays(q, q, q, tokens=[["\ud83d", "b"]])
    blob = Blob()
    chunk = blob._chunks[capture_data(capture, blob, 10_000)["streams"]["chunk"]]
    assert json.loads(zlib.decompress(chunk)) == {"text": [["\ud83d", "b"]]}
    assert atlas_page(capture)


def test_the_page_keeps_to_its_budget_and_refuses_one_that_is_too_small() -> None:
    capture = random_capture(2, 4, 256)
    assert len(atlas_page(capture, budget_bytes=180_000).encode()) <= 180_000
    with pytest.raises(ValueError, match="allow 1"):
        atlas_page(capture, budget_bytes=100_000)
    with pytest.raises(ValueError, match="holds no layer"):
        atlas_page(Capture())
    with pytest.raises(ValueError, match="heads 0 to 3"):
        atlas_page(capture, focus=("layers.0.attention", 4))


def test_modules_stand_on_those_before_them_and_are_short() -> None:
    import re
    from importlib.resources import files

    folder = files("attnkit.page") / "web"
    here = {path.name for path in folder.iterdir()}
    assert {f"{name}.js" for name in SCRIPTS} == {name for name in here if name.endswith(".js")}
    for n, name in enumerate(SCRIPTS):
        source = (folder / f"{name}.js").read_text()
        assert set(re.findall(r'from "\./(\w+)\.js"', source)) <= set(SCRIPTS[:n]), name
    for name in here:
        lines = (folder / name).read_text().splitlines()
        assert len(lines) <= 400 and max(map(len, lines)) <= 120, name
    assert "import {" not in script() and "</script" not in script()
