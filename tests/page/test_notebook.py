"""A capture in a notebook: one frame that holds the whole page, and nothing that breaks out of it."""

from html.parser import HTMLParser

from attnkit.capture import Capture
from attnkit.page.atlas import atlas_page
from attnkit.page.notebook import Shown, notebook_html
from tests.capture.made import capture_of


class Tags(HTMLParser):
    """The tags of a piece of HTML with their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag, attrs) -> None:
        self.found.append((tag, dict(attrs)))


def test_the_frame_holds_the_page_and_nothing_stands_beside_it() -> None:
    capture = capture_of(tokens=[['"></iframe><script>alert(1)</script>'] * 12] * 2)
    capture.title = '"><script>alert(2)</script>'
    read = Tags()
    read.feed(notebook_html(capture))
    assert [tag for tag, _ in read.found] == ["iframe"]
    attributes = read.found[0][1]
    assert attributes["srcdoc"] == atlas_page(capture)
    assert attributes["title"] == capture.title
    assert attributes["sandbox"] == "allow-scripts"


def test_shown_shows_itself_as_page_and_as_text() -> None:
    capture = capture_of()
    assert Shown(capture)._repr_html_() == notebook_html(capture)
    assert Shown(capture, capture_of())._repr_html_() != notebook_html(capture)
    assert "Entropy (nats)" in repr(Shown(capture))


def test_a_capture_shows_itself_and_an_empty_one_says_what_it_is() -> None:
    seen = capture_of()
    assert seen._repr_html_() == notebook_html(seen)
    assert Capture(title="nothing")._repr_html_() is None
    assert repr(Capture(title="nothing")) == "Capture('nothing', 0 layers, 0 heads, 0 notes)"
