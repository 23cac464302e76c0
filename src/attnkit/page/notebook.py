"""A capture in a notebook: its page in a frame of its own, or its text where there is no browser."""

from dataclasses import dataclass
from html import escape

from attnkit.capture.captured import Capture
from attnkit.page.terminal import show

_HEIGHT_PIXELS = 720
# The page's program may run; it gets no origin, so it reaches neither the notebook nor any network session.
_FRAME = (
    '<iframe title="{title}" sandbox="allow-scripts" width="100%" height="{height}" '
    'style="border:1px solid #8888;border-radius:4px" srcdoc="{page}"></iframe>'
)


def notebook_html(capture: Capture, second: Capture | None = None, *, height_pixels: int = _HEIGHT_PIXELS) -> str:
    """The atlas of a capture, or of two beside each other, as one `<iframe srcdoc>` with nothing outside it.

    Raises: ValueError where the capture holds no layer, or does not fit the page.
    """
    from attnkit.page.atlas import atlas_page

    title = escape(capture.title or "Attention atlas", quote=True)
    return _FRAME.format(title=title, height=height_pixels, page=escape(atlas_page(capture, second), quote=True))


@dataclass(frozen=True, eq=False)
class Shown:
    """A capture that a notebook shows as its page, and a prompt as text: the last line of a cell, `Shown(seen)`."""

    capture: Capture
    second: Capture | None = None

    def _repr_html_(self) -> str:
        return notebook_html(self.capture, self.second)

    def __repr__(self) -> str:
        return show(self.capture).rstrip("\n")
