"""A real browser for pages: nothing but files may be asked for, and nothing may be complained of."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install -e '.[dev]'")


@dataclass
class Opened:
    """A page in the browser, and what it asked for and complained of."""

    page: Any
    asked: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def js(self, script: str, argument: Any = None) -> Any:
        return self.page.evaluate(script, argument)

    def settle(self) -> None:
        """Until the changes of state that were made have been drawn."""
        twice = "requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 30)))"
        self.js(f"() => new Promise((done) => {twice})")

    def opened(self, layer: int, head: int) -> None:
        self.page.wait_for_selector(f'html[data-opened="{layer}.{head}"]')
        self.settle()

    def clean(self) -> bool:
        return not self.asked and not self.complaints


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    path = os.environ.get("ATTNKIT_CHROMIUM") or shutil.which("chromium")
    if path is None:
        pytest.skip("no browser: install chromium, or name one in ATTNKIT_CHROMIUM")
    with sync_api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def show(browser: Any, tmp_path: Path) -> Iterator[Callable[..., Opened]]:
    """show(html, hash="", width=1280, height=900, scheme="light") opens a page and waits until it is ready."""
    contexts = []

    def open_page(html: str, hash: str = "", width: int = 1280, height: int = 900, scheme: str = "light") -> Opened:
        path = tmp_path / f"page{len(contexts)}.html"
        path.write_text(html, encoding="utf-8")
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
        contexts.append(context)
        opened = Opened(context.new_page())

        def route(handle: Any) -> None:
            if handle.request.url.startswith("file:"):
                handle.continue_()
            else:
                opened.asked.append(handle.request.url)
                handle.abort()

        opened.page.route("**/*", route)
        opened.page.on("console", lambda message: opened.complaints.append(f"{message.type}: {message.text}"))
        opened.page.on("pageerror", lambda error: opened.complaints.append(str(error)))
        opened.page.goto(path.as_uri() + hash)
        opened.page.wait_for_selector("html[data-ready], #failed:not([hidden])")
        return opened

    yield open_page
    for context in contexts:
        context.close()
