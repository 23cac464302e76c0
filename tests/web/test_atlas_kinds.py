"""The atlas of all kinds of captures: two beside each other, encoder and decoder, images, batches, long texts."""

import base64
from collections.abc import Callable

import numpy as np
import pytest
import torch

from attnkit.attention.pairwise import Pairwise
from attnkit.capture.captured import Capture, CapturedLayer, Edges
from attnkit.page.atlas import atlas_page
from attnkit.page.atlas_edges import LayerEdges
from attnkit.page.quantize import encode
from tests.web.captures import capture_of_maps, random_capture
from tests.web.conftest import Opened
from tests.web.example import example

Show = Callable[..., Opened]


def put(layer: CapturedLayer, **fields: object) -> CapturedLayer:
    for name, value in fields.items():
        object.__setattr__(layer, name, value)
    return layer


@pytest.fixture(scope="module")
def helper(browser, tmp_path_factory) -> Opened:
    """One page whose functions are called."""
    path = tmp_path_factory.mktemp("helper") / "page.html"
    path.write_text(atlas_page(random_capture(1, 1, 8)), encoding="utf-8")
    page = browser.new_page()
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-ready]")
    return Opened(page)


@pytest.mark.parametrize(
    ("bits", "log", "groups"), [(32, False, 1), (16, True, 1), (16, False, 3), (8, True, 3), (8, False, 1)]
)
def test_the_browser_undoes_what_python_encoded(helper: Opened, bits: int, log: bool, groups: int) -> None:
    values = torch.rand(3, 40, generator=torch.Generator().manual_seed(bits)).numpy() ** 3
    values[1, 5] = 0
    values = values if log else values - 0.4
    data, meta = encode(values, bits, log=log, groups=groups)
    back = helper.js(
        "([data, meta]) => [...attnPage.decodeArray(attnPage.bytesOf(data), meta)]",
        [base64.b64encode(data).decode(), meta],
    )
    allowed = {32: 0, 16: 1.5e-4 if log else 2e-5, 8: 2.2e-2 if log else 4e-3}[bits]
    assert np.abs(np.array(back).reshape(3, 40) - values).max() <= allowed * np.abs(values).max()
    assert bits != 32 or np.array_equal(np.array(back, dtype=np.float32).reshape(3, 40), values.astype(np.float32))


@pytest.mark.parametrize(("T", "near"), [(30, False), (30, True), (70_000, False), (70_000, True)])
def test_edges_arrive_as_they_were(helper: Opened, T: int, near: bool) -> None:
    generator = torch.Generator().manual_seed(T)
    shown = 30
    key = torch.randint(T, (1, 2, shown, 3), generator=generator)
    if near:
        key = (torch.arange(shown)[:, None] + torch.tensor([T - shown - 1, -1, 0])).clamp(min=0).expand(1, 2, shown, 3)
        key = key.contiguous()
    weight = torch.rand(1, 2, shown, 3, generator=generator).sort(-1, descending=True).values
    weight[0, 1, 4, 1:] = 0
    key[0, 1, 4, 1:] = -1
    packed = LayerEdges.of(weight.numpy(), key.numpy()).packed(0.0, 32, False)
    assert packed.meta["key_bytes"] == (2 if T == 30 else 4) and packed.meta["relative"] is near
    found = helper.js(
        """async ([data, meta]) => {
          const bytes = new Uint8Array(await new Response(new Blob([attnPage.bytesOf(data)]).stream()
            .pipeThrough(new DecompressionStream("deflate"))).arrayBuffer());
          const { start, key, weight } = attnPage.decodeEdges(bytes, meta);
          return [[...start], [...key], [...weight]];
        }""",
        [base64.b64encode(packed.data).decode(), packed.meta],
    )
    there = weight.flatten() > 0
    assert found[1] == key.flatten()[there].tolist()
    assert torch.equal(torch.tensor(found[2]), weight.flatten()[there])
    assert np.diff(found[0]).tolist() == (weight > 0).sum(-1).flatten().tolist()


@pytest.mark.parametrize(
    ("tokens", "how", "texts"),
    [
        (["[CLS]", "un", "##believ", "##able", "!", "[SEP]"], "wordpiece", ["[CLS]", "unbelievable", "!", "[SEP]"]),
        (["<s>", "▁Hel", "lo", ",", "▁you", "</s>"], "sentencepiece", ["<s>", "Hello", ",", "you", "</s>"]),
        (["Hel", "lo", "Ġw", "orld", ".", "Ċ", "ĠcafÃ", "©"], "bytes", ["Hello", "world", ".", "⏎", "café"]),
        (["The", " light", "house", ",", " there"], "spaces", ["The", "lighthouse", ",", "there"]),
        (["##", "a", "b"], "plain", ["##", "a", "b"]),
        (["▁我", "们", "喜欢", "▁cats"], "sentencepiece", ["我", "们", "喜欢", "cats"]),
        ([" ", "", "x"], "plain", ["␣", "␣", "x"]),
    ],
)
def test_sub_words_are_put_together_as_their_tokenizer_marks_them(
    helper: Opened, tokens: list[str], how: str, texts: list[str]
) -> None:
    assert helper.js("(tokens) => attnPage.convention(tokens)", tokens) == how
    made = helper.js(
        "(tokens) => { const u = attnPage.unitsOf(tokens); return { ...u, unitOf: [...u.unitOf] }; }", tokens
    )
    assert made["text"] == texts
    assert made["start"][-1] == len(tokens) and made["unitOf"] == sorted(made["unitOf"])


@pytest.mark.parametrize("scale", ["linear", "log", "row", "percentile"])
def test_scales_keep_the_order_of_weights_and_stay_within_the_ramp(helper: Opened, scale: str) -> None:
    values = [0.0, 1e-7, 0.002, 0.03, 0.4, 0.9]
    shares = helper.js(
        "([n, all]) => { const scale = attnPage.scaleOf(n, all, [0.9]); return all.map((v) => scale.share(v, 0)); }",
        [scale, values],
    )
    assert shares == sorted(shares) and shares[0] == 0 and shares[-1] == pytest.approx(1) and len(set(shares)) >= 5


def test_two_captures_stand_beside_each_other_with_their_difference(show: Show) -> None:
    first, second = example(), example(second=True)
    opened = show(atlas_page(first, second), "#layer=1&head=0&stat=entropy")
    assert opened.page.locator("#atlases canvas").count() == 3 and opened.page.locator("#maps canvas").count() == 3
    change = second.layers[1].statistics["entropy"][0].mean(-1) - first.layers[1].statistics["entropy"][0].mean(-1)
    shown = opened.js("() => attnPage.page.atlases[2].cells.filter((c) => c.layer === 1).map((c) => c.value)")
    assert shown == pytest.approx(change.tolist(), abs=1e-5) and change.abs().max() > 0.1
    picture = "() => document.querySelectorAll('#maps canvas')[2].toDataURL()"
    changed = opened.js(picture)
    same = int(change.abs().argmin())
    opened.js("(head) => attnPage.change({ layer: 1, head })", same)
    opened.opened(1, same)
    assert opened.js(picture) != changed
    opened.page.select_option("#show", "b")
    opened.settle()
    assert opened.js("() => attnPage.page.reading.head.layer.name") == "layer 1"
    assert opened.clean(), opened.complaints
    assert show(atlas_page(first, second), width=375).js("() => document.documentElement.scrollWidth") <= 375


def test_a_second_capture_of_another_size_is_shown_without_a_difference(show: Show) -> None:
    opened = show(atlas_page(example(), random_capture(2, 2, 30)), "#layer=5&head=7")
    assert opened.page.locator("#maps figure:visible").count() == 1
    opened.js("() => attnPage.change({ layer: 0, head: 1 })")
    opened.opened(0, 1)
    assert opened.page.locator("#maps figure:visible").count() == 2
    assert opened.clean(), opened.complaints


def translation() -> Capture:
    source, target = ["the", "cat", "sat", "</s>"], ["<s>", "die", "Katze", "saß", "da"]

    def one(tokens: list[str], seed: int, S: int) -> CapturedLayer:
        draw = torch.randn(1, 2, len(tokens), S, generator=torch.Generator().manual_seed(seed))
        return capture_of_maps(tokens, torch.softmax(2 * draw, -1)).layers[0]

    layers = [
        put(one(source, 1, 4), name="encoder", query_stream="encoder", key_stream="encoder"),
        put(one(target, 2, 5), name="decoder", query_stream="decoder", key_stream="decoder"),
        put(one(target, 3, 4), name="cross", kind="cross", query_stream="decoder", key_stream="encoder"),
        put(one(["q"], 4, 4), name="pool", kind="pooling", query_stream=None, key_stream="encoder"),
    ]
    return Capture(layers=layers, streams={"encoder": [source], "decoder": [target]}, title="translation")


def test_encoder_decoder_and_what_reads_across(show: Show) -> None:
    capture = translation()
    opened = show(atlas_page(capture))
    tabs = opened.page.locator("#groups button")
    assert tabs.all_text_contents() == [
        "encoder self-attention", "decoder self-attention", "cross-attention: decoder → encoder",
        "pooling: learned queries → encoder",
    ]  # fmt: skip
    tabs.nth(2).click()
    opened.opened(2, 0)
    assert opened.page.locator(".panel").count() == 2
    opened.page.locator(".panel").nth(0).get_by_text("Katze", exact=True).hover()
    opened.page.wait_for_selector("#spoken-reads .named")
    heaviest = capture.layers[2].edges.key_BHTN[0, 0, 2, 0]
    assert opened.page.text_content("#spoken-reads .named b >> nth=0") == capture.streams["encoder"][0][heaviest]
    opened.page.locator(".panel").nth(1).get_by_text("cat", exact=True).hover()
    opened.page.wait_for_selector("#spoken-readers .named")
    assert opened.page.locator("#spoken-reads .named").count() == 0
    tabs.nth(3).click()
    opened.opened(3, 0)
    assert opened.page.locator("#spoken-reads .named").count() >= 3, "one learned query: its reading is shown at once"
    assert opened.clean(), opened.complaints


def test_patches_of_an_image_are_a_grid(show: Show) -> None:
    tokens = ["[CLS]"] + [f"patch {n}" for n in range(12)]
    maps = torch.softmax(2 * torch.randn(1, 2, 13, 13, generator=torch.Generator().manual_seed(0)), -1)
    opened = show(atlas_page(capture_of_maps(tokens, maps, images={"text": (3, 4)})))
    box = opened.page.locator(".patches canvas").bounding_box()
    size, top = opened.js("() => { const p = attnPage.page.reading.panels.query; return [p.size, p.top]; }")
    before = opened.js("() => document.querySelector('.patches canvas').toDataURL()")
    opened.page.mouse.move(box["x"] + 2.5 * size, box["y"] + top + 1.5 * size)
    opened.page.wait_for_selector("#spoken-reads .named")
    opened.settle()
    assert opened.js("() => attnPage.hover.token") == 1 + 4 + 2
    assert opened.js("() => document.querySelector('.patches canvas').toDataURL()") != before
    assert opened.clean(), opened.complaints


def test_another_text_of_the_batch(show: Show) -> None:
    capture = random_capture(2, 2, 24, batch=3)
    opened = show(atlas_page(capture))
    assert opened.page.locator("#item option").count() == 3
    opened.page.select_option("#item", "2")
    opened.settle()
    row = capture.layers[0].edges
    found = opened.js(
        "async () => { const keys = []; (await attnPage.model.first.head(0, 1, 2)).reads(20, (s) => keys.push(s));"
        " return keys; }"
    )
    assert found == row.key_BHTN[2, 1, 20][row.weight_BHTN[2, 1, 20] > 0].tolist()
    figures = opened.js("() => attnPage.page.atlases[0].cells.map((c) => c.value)")
    wanted = torch.stack([layer.statistics["entropy"][2].mean(-1) for layer in capture.layers]).flatten()
    assert figures == pytest.approx(wanted.tolist(), rel=1e-5)
    assert "item=2" in opened.js("() => location.hash")


def test_32_thousand_tokens(show: Show) -> None:
    html = atlas_page(random_capture(1, 2, 32_768))
    assert len(html.encode()) <= 1_500_000
    opened = show(html, "#token=30000")
    assert opened.js("() => document.getElementsByTagName('*').length") < 2000
    assert opened.page.locator(".row span.pinned").count() == 1
    opened.js("() => { const s = document.querySelector('.scroller'); s.scrollTop = s.scrollHeight; }")
    opened.settle()
    last = opened.page.locator(".row span").last
    assert int(last.get_attribute("data-u")) > 10_000
    last.hover()
    opened.page.wait_for_selector(".telling b")
    opened.page.fill("#search", "grais")
    opened.settle()
    assert " of " in opened.page.text_content("#hits")
    assert opened.clean(), opened.complaints


def test_statistics_alone_and_sampled_queries(show: Show) -> None:
    capture = random_capture(1, 2, 64)
    rows = torch.arange(0, 64, 4)
    layer = put(capture.layers[0], pooled=None, edges=None, rows=rows)
    layer.statistics["entropy"] = layer.statistics["entropy"][..., rows]
    opened = show(atlas_page(capture), "#shade=stat:entropy")
    assert "No map was captured" in opened.page.text_content("#map-said")
    values = opened.js(
        "async () => { const h = await attnPage.model.first.head(0, 1, 0); return [...await h.statistic('entropy')]; }"
    )
    assert values[::4] == pytest.approx(layer.statistics["entropy"][0, 1].tolist(), rel=1e-3)
    assert opened.page.locator(".row span").first.get_attribute("style")
    assert opened.clean(), opened.complaints


def test_weights_below_zero_are_told_from_those_above(show: Show) -> None:
    generator = torch.Generator().manual_seed(2)
    capture = capture_of_maps([f"w{n}" for n in range(20)], torch.rand(1, 1, 20, 20, generator=generator))
    weight = torch.randn(1, 1, 20, 4, generator=generator)
    order = weight.abs().argsort(-1, descending=True)
    key = torch.rand(1, 1, 20, 20, generator=generator).argsort(-1)[..., :4]
    put(capture.layers[0], edges=Edges(weight.gather(-1, order), key))
    capture.layers[0].pooled.mass_BHRC.neg_()
    opened = show(atlas_page(capture), "#token=3")
    said = opened.page.text_content("#spoken-reads")
    assert f"{weight.gather(-1, order)[0, 0, 3, 0]:.2f}"[:4] in said
    assert opened.js("() => attnPage.page.maps[0].scale.signed") is True
    assert opened.clean(), opened.complaints


def test_tokens_nobody_named_are_numbered(show: Show) -> None:
    capture = random_capture(1, 1, 6)
    capture.streams = {}
    opened = show(atlas_page(capture))
    assert opened.page.locator(".row span").all_text_contents() == ["0", "1", "2", "3", "4", "5"]


def test_paper_is_light_and_without_controls(show: Show) -> None:
    opened = show(atlas_page(example()), scheme="dark")
    opened.page.emulate_media(media="print")
    assert opened.page.locator(".controls:visible").count() == 0
    opened.js("() => dispatchEvent(new Event('beforeprint'))")
    assert opened.js("() => document.documentElement.dataset.theme") == "light"
    opened.js("() => dispatchEvent(new Event('afterprint'))")
    assert opened.js("() => document.documentElement.dataset.theme") == "dark"


def measured(T: int, heads: int) -> Capture:
    from attnkit.attention.where import Where
    from attnkit.capture.captured import Wanted
    from attnkit.capture.measure import measure
    from attnkit.layers.taps import Seen

    generator = torch.Generator().manual_seed(5)
    q, k, v = (torch.randn(1, heads, T, 8, generator=generator) for _ in range(3))
    spec, where = Pairwise(), Where.of(T, T)
    seen = Seen("only", spec, q, k, v, where, {}, None, spec.mix(q, k, v, where, {}, None))
    return Capture(
        layers=[measure(seen, "self", Wanted(level="full", edges=3))], streams={"text": [list(map(str, range(T)))]}
    )


def test_the_whole_map_of_a_head_that_was_asked_for(show: Show) -> None:
    capture = measured(90, 4)
    A = capture.layers[0].seen.matrix()[0, 2]
    html = atlas_page(capture, focus=("only", 2), budget_bytes=220_000)
    opened = show(html, "#head=2&token=40&join=false")
    row = opened.js("async () => { const h = await attnPage.model.first.head(0, 2, 0); return [...h.exact]; }")
    assert np.abs(np.array(row).reshape(90, 90) / A.numpy() - 1).max() <= 2e-4
    assert opened.page.locator("#spoken-readers .named").count() == 6
    reader = int(A[:, 40].argmax())
    assert opened.page.text_content("#spoken-readers .named >> nth=0") == f"{reader} {A[reader, 40]:.3f}"
    assert opened.clean(), opened.complaints


def test_a_whole_map_that_cannot_be_is_said(show: Show) -> None:
    opened = show(atlas_page(random_capture(1, 2, 16), focus=("layers.0.attention", 1)))
    assert "was captured without queries and keys" in opened.page.text_content("#notes")
