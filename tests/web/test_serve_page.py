"""The page of a service in a real browser: answers, comparisons, files, and nothing from anywhere else."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from attnkit.serve.feedback import Feedback
from attnkit.serve.settings import Batching, Limits, Settings
from attnkit.task.base import Prediction
from attnkit.train.shading import Shading
from tests.serve.serving import Counting, Running, running
from tests.web.conftest import Opened

HOSTILE = '<img src=x onerror="globalThis.ran=1"> & <b>bold</b> \'"</script>'
Visit = Callable[..., Opened]


class Opposite(Counting):
    """Says the other class, of names that would be markup, and looks at every word a little more than before."""

    def look(self, text: Any) -> Shading:
        words = text.split(" ")
        weights = [2 * (n + 1) / (len(words) * (len(words) + 1)) for n in range(len(words))]
        pieces = [piece for word, weight in zip(words, weights, strict=True) for piece in ((word, weight), (" ", None))]
        chances = {f"<i>class {n}</i>": 0.5 if n == 3 else 0.5 / 11 for n in range(12)}
        return Shading(tuple(pieces[:-1]), Prediction("<i>class 3</i>", 0.5, chances), 7)


@pytest.fixture
def visit(browser: Any) -> Iterator[Visit]:
    """visit(service, path="", width=1280, scheme="light") opens a page; what it asks of others is refused and noted."""
    with ExitStack() as held:

        def open_page(served: Running, path: str = "", width: int = 1280, scheme: str = "light") -> Opened:
            context = browser.new_context(
                viewport={"width": width, "height": 800}, color_scheme=scheme, accept_downloads=True
            )
            held.callback(context.close)
            opened = Opened(context.new_page())

            def route(handle: Any) -> None:
                if handle.request.url.startswith((served.url, "blob:")):
                    handle.continue_()
                else:
                    opened.asked.append(handle.request.url)
                    handle.abort()

            opened.page.route("**/*", route)
            opened.page.on("console", lambda message: opened.complaints.append(f"{message.type}: {message.text}"))
            opened.page.on("pageerror", lambda error: opened.complaints.append(str(error)))
            opened.page.goto(served.url + path)
            if not path:
                opened.page.wait_for_selector("html[data-ready]")
            return opened

        yield open_page


def test_a_text_is_answered_with_bars_and_shades_from_the_keyboard_alone(visit: Visit) -> None:
    with running(Counting()) as served:
        opened = visit(served)
        page = opened.page
        assert page.evaluate("document.activeElement.id") == "text"
        page.keyboard.type("one two three")
        page.keyboard.press("Control+Enter")
        page.wait_for_selector(".answer")
        assert page.text_content(".said b") == "odd" and page.text_content(".said span") == "75.0 %"
        assert page.locator(".bars li").all_text_contents() == ["odd75.0 %", "even25.0 %"]
        widths = page.eval_on_selector_all(".track i", "(all) => all.map((one) => one.style.width)")
        assert widths == ["75%", "25%"]
        assert page.text_content(".shaded") == "onetwothree" and page.locator(".shaded mark").count() == 3
        assert page.locator("#verdict").is_hidden() and page.locator("#chosen").is_hidden()
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.id") == "go"
        page.fill("#text", "one two")
        page.click("#go")
        expect(page.locator(".said b")).to_have_text("even")
        assert opened.clean(), (opened.asked, opened.complaints)


def test_two_models_stand_side_by_side_and_no_word_is_taken_for_markup(visit: Visit) -> None:
    with running({"first": Counting("first"), "second": Opposite("second")}) as served:
        opened = visit(served)
        page = opened.page
        page.fill("#text", HOSTILE)
        page.click("#go")
        page.wait_for_selector(".answer >> nth=1")
        assert page.locator(".answer h2").all_text_contents() == ["first", "second"]
        left, right = (page.locator(".answer").nth(n).bounding_box() for n in (0, 1))
        assert left["y"] == right["y"] and left["x"] + left["width"] <= right["x"]
        assert page.text_content(".answer >> nth=1 >> .shaded") == HOSTILE
        assert page.text_content("#verdict").startswith("They disagree: first says ")
        assert "second says <i>class 3</i>" in page.text_content("#verdict")
        assert page.locator(".answer i:not(.track i), .answer img, .answer b b").count() == 0
        assert page.evaluate("globalThis.ran ?? null") is None
        shades = page.eval_on_selector_all(
            ".answer:nth-child(2) mark", "(all) => all.map((one) => Number(one.style.getPropertyValue('--weight')))"
        )
        assert shades == sorted(shades) and shades[0] < shades[-1]
        assert page.locator(".answer >> nth=1 >> .bars .share:visible").count() == 8
        page.click("text=All 12 classes")
        assert page.locator(".answer >> nth=1 >> .bars .share:visible").count() == 12
        assert "7 tokens beyond" in page.text_content(".answer >> nth=1")
        page.select_option("#beside", "")
        page.click("#go")
        expect(page.locator(".answer")).to_have_count(1)
        assert page.locator("#verdict").is_hidden()
        assert opened.clean(), (opened.asked, opened.complaints)


def test_a_file_goes_up_and_comes_back(visit: Visit, tmp_path: Path) -> None:
    file = tmp_path / "my rows.csv"
    file.write_text("text\none two\nthree\n")
    with running(Counting(), Settings(limits=Limits(file_rows=2, file_bytes=1024), drain_seconds=0)) as served:
        opened = visit(served)
        page = opened.page
        page.click("#send")
        assert page.text_content("#failed") == "Choose a file first."
        page.set_input_files("#file", file)
        page.check("#probabilities")
        page.click("#send")
        page.wait_for_selector("#saved")
        assert page.text_content("#sent") == "2 rows predicted. Save my-rows-predicted.csv"
        assert page.evaluate("document.activeElement.id") == "saved"
        with page.expect_download() as coming:
            page.keyboard.press("Enter")
        assert coming.value.suggested_filename == "my-rows-predicted.csv"
        content = Path(coming.value.path()).read_text()
        assert content.splitlines() == [
            "text,prediction,probability,probability:even,probability:odd",
            "one two,even,0.75,0.75,0.25",
            "three,odd,0.75,0.25,0.75",
        ]
        assert opened.clean(), (opened.asked, opened.complaints)
        file.write_text("text\n" + "a\n" * 3)
        page.set_input_files("#file", file)
        page.click("#send")
        page.wait_for_selector("#failed:not([hidden])")
        assert "3 rows and at most 2" in page.text_content("#failed")
        file.write_text("text\n" + "a\n" * 1000)
        page.set_input_files("#file", file)
        page.click("#send")
        expect(page.locator("#failed")).to_contain_text("at most 1 KiB")


def test_a_token_is_asked_for_and_kept_for_the_tab(visit: Visit) -> None:
    token = "a token/with+signs=16".replace(" ", "-")
    with running(Counting(), Settings(token=token, drain_seconds=0)) as served:
        opened = visit(served)
        page = opened.page
        assert page.locator("main").is_hidden() and page.evaluate("document.activeElement.id") == "token"
        page.keyboard.type("wrong")
        page.keyboard.press("Enter")
        page.wait_for_selector("#failed:not([hidden])")
        assert "token is needed" in page.text_content("#failed")
        page.fill("#token", token)
        page.keyboard.press("Enter")
        page.wait_for_selector("main:not([hidden])")
        assert page.locator("#failed").is_hidden()
        page.reload()
        page.wait_for_selector("main:not([hidden])")


def test_the_right_answer_can_be_kept(visit: Visit, tmp_path: Path) -> None:
    path = tmp_path / "learn.jsonl"
    with running(Counting(), feedback=Feedback(path)) as served:
        opened = visit(served)
        opened.page.fill("#text", "one two three")
        opened.page.click("#go")
        opened.page.select_option(".feedback select", "even")
        opened.page.click("text=Keep as right answer")
        opened.page.wait_for_selector("text=Kept.")
        assert opened.clean(), (opened.asked, opened.complaints)
    line = path.read_text()
    assert '"text": "one two three", "label": "even", "prediction": "odd"' in line


def test_what_goes_wrong_is_said_and_the_page_goes_on(visit: Visit) -> None:
    model = Counting()
    with running(model, Settings(Batching(1, 0), Limits(body_bytes=1024), drain_seconds=0)) as served:
        opened = visit(served)
        page = opened.page
        page.fill("#text", "crash")
        page.click("#go")
        page.wait_for_selector("#failed:not([hidden])")
        assert "unforeseen" in page.text_content("#failed")
        page.fill("#text", "a " * 2000)
        page.click("#go")
        expect(page.locator("#failed")).to_contain_text("1,024 bytes")
        page.fill("#text", "one")
        page.click("#go")
        page.wait_for_selector(".answer")
        assert page.locator("#failed").is_hidden() and opened.asked == []


@pytest.mark.parametrize(("width", "scheme"), [(320, "light"), (390, "dark"), (1280, "dark")])
def test_it_fits_narrow_screens_in_light_and_dark(visit: Visit, width: int, scheme: str) -> None:
    with running({"first": Counting("first"), "second": Opposite("second")}) as served:
        opened = visit(served, width=width, scheme=scheme)
        page = opened.page
        page.fill("#text", "a very long text " * 30 + "w" * 200)
        page.click("#go")
        page.wait_for_selector(".answer")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, "nothing sticks out"
        assert page.get_attribute("html", "data-theme") == scheme
        page.click("#theme")
        assert page.get_attribute("html", "data-theme") != scheme
        small = "(all) => all.filter((one) => one.offsetParent && one.getBoundingClientRect().height < 24).length"
        assert page.eval_on_selector_all("button, select, textarea, input:not([type=checkbox])", small) == 0


def test_the_page_that_tells_how_to_ask_loads_nothing(visit: Visit) -> None:
    with running(Counting()) as served:
        opened = visit(served, "docs", width=390)
        assert "POST /predict" in opened.page.text_content("body")
        assert opened.page.evaluate("document.documentElement.scrollWidth") <= 390
        assert opened.clean(), (opened.asked, opened.complaints)
