"""The atlas in a real browser: small, quiet, quick to point at, and harmless whatever the tokens say."""

from collections.abc import Callable

import pytest

from attnkit.page.atlas import atlas_page
from tests.web.captures import random_capture
from tests.web.conftest import Opened
from tests.web.example import example

Show = Callable[..., Opened]
NODES = "() => document.getElementsByTagName('*').length"
STATE = "() => ({ ...attnPage.state })"


@pytest.fixture(scope="module")
def big() -> str:
    return atlas_page(random_capture(12, 12, 4096))


@pytest.fixture(scope="module")
def small() -> str:
    return atlas_page(example())


def word(opened: Opened, text: str, nth: int = 0):
    return opened.page.locator(".row span").get_by_text(text, exact=True).nth(nth)


def test_144_heads_on_4096_tokens_are_small_quiet_and_few_nodes(show: Show, big: str) -> None:
    assert len(big.encode()) <= 1_500_000
    opened = show(big)
    assert opened.js(NODES) < 2000
    for place in range(1, 21):
        opened.js(
            "(p) => { const s = document.querySelector('.scroller'); s.scrollTop = p * s.scrollHeight; }", place / 20
        )
        opened.settle()
        assert opened.js(NODES) < 2000
        assert 5 < opened.page.locator(".row").count() < 40, "only rows in sight are in the document"
    assert opened.clean(), (opened.asked, opened.complaints)


def test_a_click_on_a_cell_opens_the_heads_map(show: Show, big: str) -> None:
    opened = show(big)
    x, y = opened.js(
        "() => { const [a] = attnPage.page.atlases;"
        " return a.corner(a.cells.find((c) => c.layer === 7 && c.head === 4)); }"
    )
    before = opened.js("() => document.querySelector('#maps canvas').toDataURL()")
    opened.page.click("#atlases canvas", position={"x": x + 5, "y": y + 5})
    opened.opened(7, 4)
    assert opened.page.text_content("#head-title") == "Layer 7 · head 4"
    assert "equals the kernel's output within" in opened.page.text_content("#head-check")
    assert opened.js("() => document.querySelector('#maps canvas').toDataURL()") != before
    assert opened.clean()


def test_the_page_may_ask_for_nothing_even_if_it_tried(show: Show, small: str) -> None:
    opened = show(small)
    failed = opened.js("() => fetch('https://example.org/').then(() => 'came', () => 'refused')")
    assert failed == "refused" and opened.asked == []
    opened.js(
        "() => { const s = document.createElement('script'); s.textContent = 'globalThis.ran = 1';"
        " document.body.append(s); }"
    )
    assert opened.js("() => globalThis.ran ?? null") is None


def test_pointing_at_a_word_says_what_it_reads_and_who_reads_it(show: Show, small: str) -> None:
    capture = example()
    opened = show(small, "#layer=3&head=5&join=false")
    token = capture.streams["text"][0].index("wrote")
    word(opened, "wrote").hover()
    opened.page.wait_for_selector("#spoken-reads .named")
    edges = capture.layers[3].edges
    key, weight = edges.key_BHTN[0, 5, token, 0], edges.weight_BHTN[0, 5, token, 0]
    heaviest = opened.page.text_content("#spoken-reads .named >> nth=0")
    assert heaviest == f"{capture.streams['text'][0][key].removeprefix('##')} {weight:.3f}"
    readers = (edges.key_BHTN[0, 5] == token) * edges.weight_BHTN[0, 5]
    most = int(readers.amax(-1).argmax())
    first = opened.page.text_content("#spoken-readers .named >> nth=0")
    assert first == f"{capture.streams['text'][0][most].removeprefix('##')} {readers[most].max():.3f}"
    assert "rgba" in opened.js(f"() => document.querySelector('.row span[data-u=\"{key}\"]').style.backgroundColor")
    assert opened.clean()


def test_a_click_pins_and_the_address_says_so(show: Show, small: str) -> None:
    opened = show(small, "#layer=3&head=5")
    word(opened, "wrote").click()
    opened.settle()
    opened.page.mouse.move(5, 5)
    opened.settle()
    assert opened.page.locator(".row span.pinned").all_text_contents() == ["wrote"]
    assert "token=5" in opened.js("() => location.hash")
    word(opened, "wrote").click()
    opened.settle()
    assert opened.page.locator(".row span.pinned").count() == 0


def test_the_address_restores_what_was_chosen(show: Show, small: str) -> None:
    opened = show(
        small, "#layer=4&head=6&token=20&stat=distance&scale=log&sort=value&sinks=true&threshold=0.2&summary=high"
    )
    opened.opened(4, 6)
    state = opened.js(STATE)
    wanted = {"layer": 4, "head": 6, "token": 20, "stat": "distance", "scale": "log", "sort": "value", "threshold": 0.2}
    assert {name: state[name] for name in wanted} == wanted and state["sinks"] is True
    assert opened.page.input_value("#stat") == "distance" and opened.page.is_checked("#sinks")
    assert opened.page.locator(".row span.pinned").count() == 1
    opened.page.select_option("#scale", "percentile")
    opened.settle()
    again = show(small, opened.js("() => location.hash"))
    assert again.js(STATE) == opened.js(STATE)


@pytest.mark.parametrize(
    "hash", ["#layer=99&head=-3&token=1e9&stat=nothing&item=7&scale=", "#%%%=1&layer=abc", "#__proto__=1"]
)
def test_a_strange_address_is_survived(show: Show, small: str, hash: str) -> None:
    opened = show(small, hash)
    state = opened.js(STATE)
    assert 0 <= state["layer"] < 6 and 0 <= state["head"] < 8 and state["item"] == 0 and state["token"] < 70
    assert opened.clean()


MARKUP = [
    "<img src=x onerror=alert(1)>",
    "</script><script>globalThis.ran=1</script>",
    "<b>bold</b>",
    "&amp;",
    "{{data}}",
    "'\"",
    "-->",
]


def test_markup_shows_as_text(show: Show) -> None:
    capture = example()
    tokens = capture.streams["text"][0]
    tokens[1 : 1 + len(MARKUP)] = MARKUP
    capture.title = "</title><script>globalThis.ran=1</script>{{script}}"
    capture.notes.append("<i>noted</i>")
    capture.explanations[0]["method"] = "<u>occlusion</u>"
    capture.layers[0].roles[0][0]["role"] = "<s>sink</s>"
    opened = show(atlas_page(capture), "#stat=role")
    for text in MARKUP:
        assert word(opened, text).count() == 1, text
    for tag in ("img", "b.bold", ".row b", "i:not(.named i)", "u", "s"):
        assert opened.page.locator(tag).count() == 0, tag
    assert opened.page.text_content("h1") == capture.title
    assert opened.js("() => globalThis.ran ?? null") is None
    assert opened.page.locator("script").count() == 1
    word(opened, MARKUP[0]).hover()
    opened.page.wait_for_selector("#spoken-reads .named")
    assert opened.page.locator("img").count() == 0
    assert opened.clean(), opened.complaints


def test_light_and_dark(show: Show, small: str) -> None:
    pixel = "() => [...document.querySelector('#maps canvas').getContext('2d').getImageData(200, 8, 1, 1).data]"
    paper = "() => getComputedStyle(document.body).backgroundColor"
    opened = show(small, "#layer=3&head=5")
    light = opened.js(pixel), opened.js(paper)
    opened.page.click("#theme")
    opened.settle()
    dark = opened.js(pixel), opened.js(paper)
    assert light[0] != dark[0] and light[1] != dark[1]
    assert show(small, "#layer=3&head=5", scheme="dark").js(pixel) == dark[0]


def test_keys(show: Show, small: str) -> None:
    opened = show(small, "#layer=2&head=3")
    press = opened.page.keyboard.press
    press("ArrowRight")
    opened.opened(2, 4)
    press("ArrowDown")
    opened.opened(3, 4)
    press("j")
    press("j")
    opened.settle()
    assert opened.js(STATE)["token"] == 1
    press("k")
    opened.settle()
    assert opened.js(STATE)["token"] == 0
    press("Escape")
    press("/")
    opened.page.keyboard.type("the lamp")
    opened.settle()
    assert opened.page.text_content("#hits") == "1 of 2"
    assert opened.page.locator(".row span.found").count() == 4
    press("Enter")
    opened.settle()
    assert opened.page.text_content("#hits") == "2 of 2"
    assert opened.js(STATE)["layer"] == 3, "letters typed into the search are not commands"
    press("Escape")
    press("?")
    assert opened.js("() => document.getElementById('help').open")
    press("Escape")
    press("+")
    opened.settle()
    assert opened.js("() => attnPage.view.t1 - attnPage.view.t0") == pytest.approx(35)
    press("0")
    opened.settle()
    assert opened.js("() => attnPage.view.t1 - attnPage.view.t0") == 70
    assert opened.clean()


def test_arrows_follow_the_ranking_where_heads_are_ranked(show: Show, small: str) -> None:
    opened = show(small, "#sort=value&stat=entropy")
    ranked = opened.js("() => attnPage.page.atlases[0].cells.map((c) => [c.layer, c.head, c.value])")
    values = [value for _, _, value in ranked]
    assert values == sorted(values, reverse=True) and len(values) == 48
    opened.js("([layer, head]) => attnPage.change({ layer, head })", ranked[0][:2])
    opened.opened(*ranked[0][:2])
    opened.page.keyboard.press("ArrowRight")
    opened.opened(*ranked[1][:2])


def test_a_phone_needs_no_sideways_scrolling(show: Show, small: str, big: str) -> None:
    for html in (small, big):
        opened = show(html, width=375, height=740)
        assert opened.js("() => document.documentElement.scrollWidth") <= 375
        assert opened.js("() => document.querySelector('#maps canvas').clientWidth") > 250
        word_box = opened.page.locator(".row span").first.bounding_box()
        assert word_box["height"] >= 24


def test_words_are_joined_and_taken_apart(show: Show, small: str) -> None:
    opened = show(small)
    assert word(opened, "lighthouse").count() == 1
    opened.page.uncheck("#join")
    opened.settle()
    assert word(opened, "lighthouse").count() == 0 and word(opened, "house").count() == 1


def test_hidden_keys_leave_map_and_words(show: Show, small: str) -> None:
    opened = show(small, "#layer=0&head=0")
    assert example().layers[0].roles[0][0]["role"] == "sink"
    word(opened, "wrote").hover()
    opened.page.wait_for_selector("#spoken-reads .named")
    assert opened.page.text_content("#spoken-reads .named >> nth=0").startswith("[CLS]")
    before = opened.js("() => document.querySelector('#maps canvas').toDataURL()")
    opened.page.check("#sinks")
    word(opened, "wrote").hover()
    opened.settle()
    assert "[CLS]" not in opened.page.text_content("#spoken-reads")
    assert opened.js("() => document.querySelector('#maps canvas').toDataURL()") != before


def test_what_was_not_checked_or_is_wrong_is_said_first(show: Show) -> None:
    from attnkit.capture.captured import Check

    capture = example()
    object.__setattr__(capture.layers[2], "check", Check(None, 0, "dropout was on"))
    opened = show(atlas_page(capture), "#layer=2")
    assert "1 of 6 layers could not be checked" in opened.page.text_content("#badge")
    assert "dropout was on" in opened.page.text_content("#head-check")
    object.__setattr__(capture.layers[3], "check", Check(0.2, 10))
    assert "1 of 6 layers differ" in show(atlas_page(capture)).page.text_content("#badge")


def test_what_was_left_out_is_on_the_page(show: Show, big: str) -> None:
    opened = show(big)
    opened.page.click(".notes summary")
    notes = opened.page.locator("#notes li").all_text_contents()
    assert any("captured edges" in note for note in notes) and any("means over" in note for note in notes)
    assert opened.page.locator("#checks li").count() == 12


def test_explanations_stand_beside_each_other_with_their_verdicts(show: Show, small: str) -> None:
    opened = show(small)
    verdicts = opened.page.locator(".explanation .verdict").all_text_contents()
    assert verdicts == ["✓ faithful", "✓ faithful", "? no better than random here"]
    first = opened.page.text_content(".explanation >> nth=0")
    assert "0.410 [0.350, 0.470]" in first and "about the sea (0.890)" in first
    assert opened.page.get_attribute(".explanation canvas >> nth=0", "aria-label").startswith("occlusion: la")
    opened.page.click(".explanation button >> nth=0")
    opened.settle()
    assert opened.page.input_value("#shade") == "explain:0" and "shade=explain%3A0" in opened.js("() => location.hash")
    assert word(opened, "lamp").get_attribute("style") != word(opened, "boats").get_attribute("style")


def test_a_head_has_a_role_only_where_it_was_named(show: Show) -> None:
    capture = example()
    capture.layers[0].roles[0] = [
        {"role": "local", "score": 0.3, "named": False, "chance": 0.2, "examples": [], "reason": None},
        {"role": "sink", "score": None, "named": False, "reason": "nothing to go by"},
    ]
    opened = show(atlas_page(capture), "#stat=role&layer=0&head=0")
    assert opened.js("() => attnPage.page.atlases[0].cells[0].role") is None
    assert "no role; nearest local" in opened.page.text_content("#figures .roles")
    opened.js("() => attnPage.change({ head: 1 })")
    opened.opened(0, 1)
    assert "nearest" not in opened.page.text_content("#figures .roles")
