"""A page on this machine where the text can be edited and looked at again."""

import os
import secrets
from collections.abc import Callable, Sequence
from html import escape
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from typing import Any
from urllib.parse import parse_qs, urlsplit

from attnkit.capture.size import size_bytes
from attnkit.errors import FailedError, UsageError
from attnkit.page.atlas import atlas_page
from attnkit.see.look import look
from attnkit.see.looker import Looker
from attnkit.see.opening import open_looker
from attnkit.see.render import BUDGET
from attnkit.see.texts import chosen_texts

HOST = "127.0.0.1"
# A text longer than this is refused before it is read.
MOST_BYTES = 1 << 20
_FRAME = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>{title}</title>
<style>
body{{margin:0;display:flex;flex-direction:column;height:100vh;font:16px/1.4 system-ui,sans-serif;
color-scheme:light dark}}
form{{display:flex;gap:.5rem;padding:.5rem .75rem;align-items:center}}textarea{{flex:1;font:inherit;min-height:2.6em}}
button{{font:inherit;padding:.5rem 1rem}}iframe{{flex:1;border:0;border-top:1px solid #8888}}
</style><form id="ask"><label for="text">Text</label><textarea id="text" name="text">{text}</textarea>
<button>Look (Ctrl+Enter)</button></form><iframe name="seen" title="what was seen" src="seen?key={key}"></iframe>
<script nonce="{nonce}">
const form=document.getElementById("ask"),frame=document.querySelector("iframe"),box=document.getElementById("text");
async function ask(event){{event.preventDefault();
const hash=frame.contentWindow.location.hash;
const answer=await fetch("seen?key={key}",{{method:"POST",body:box.value}});
const page=await answer.text();
if(!answer.ok){{alert(page);return}}
frame.src="seen?key={key}&at="+Date.now()+hash}}
form.addEventListener("submit",ask);
box.addEventListener("keydown",e=>{{if(e.key==="Enter"&&(e.ctrlKey||e.metaKey))ask(e)}});
</script></html>"""


class Live:
    """A model, the text that was looked at last, and its page; `key` is what a request must carry."""

    def __init__(self, looker: Looker, text: str, budget: int) -> None:
        self.looker, self.budget, self.key = looker, budget, secrets.token_urlsafe(16)
        self._lock = Lock()
        self.text, self.page = text, ""
        self.ask(text)

    def ask(self, text: str) -> None:
        """Look at another text.

        Raises: UsageError or FailedError where it cannot be looked at; the last one then stays.
        """
        chosen = chosen_texts([text], None, 1, self.looker.predictor)
        # One forward pass at a time: a capture listens to the whole model.
        with self._lock:
            page = atlas_page(look(self.looker, chosen.texts), budget_bytes=self.budget)
            self.text, self.page = text, page

    def frame(self) -> tuple[str, str]:
        """The page around the page, and the nonce of its script."""
        nonce = secrets.token_urlsafe(16)
        words = {"title": escape(self.looker.title), "text": escape(self.text), "key": self.key, "nonce": nonce}
        return _FRAME.format(**words), nonce


def server(live: Live, port: int) -> ThreadingHTTPServer:
    """A server on this machine alone, not yet serving.

    Raises: UsageError where the port is taken.
    """

    class Handler(_Handler):
        model = live

    try:
        return ThreadingHTTPServer((HOST, port), Handler)
    except (OSError, OverflowError) as error:
        raise UsageError(f"port {port} cannot be had ({error}); leave --port out, or name another") from None


def serve(
    source: str | os.PathLike[str],
    texts: Sequence[str],
    data: str | os.PathLike[str] | None = None,
    *,
    port: int = 0,
    budget: str | None = None,
    allow_code: bool = False,
    say: Callable[..., None],
) -> None:
    """Serve until Ctrl-C, beginning with the text or with the first row of the file.

    Raises: UsageError where there is no model or no text.
    """
    looker = open_looker(source, allow_code=allow_code)
    chosen = chosen_texts(texts, data, 1, looker.predictor)
    first = chosen.texts[0]
    live = Live(looker, "\t".join(first) if isinstance(first, tuple) else first, size_bytes(budget or BUDGET))
    with server(live, port) as listening:
        say(f"http://{HOST}:{listening.server_port}/?key={live.key}", "Ctrl-C ends it")
        listening.serve_forever()


class _Handler(BaseHTTPRequestHandler):
    model: Live

    def do_GET(self) -> None:
        """The frame, or the page in it."""
        path = self._asked()
        if path == "/":
            page, nonce = self.model.frame()
            policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'nonce-{nonce}'; "
            self._answer(HTTPStatus.OK, page, policy + "frame-src 'self'; connect-src 'self'", "text/html")
        elif path == "/seen":
            self._answer(HTTPStatus.OK, self.model.page, kind="text/html")
        elif path is not None:
            self._answer(HTTPStatus.NOT_FOUND, "there is nothing here")

    def do_POST(self) -> None:
        """Another text."""
        path = self._asked()
        if path is None:
            return
        length = self.headers.get("Content-Length", "")
        if path != "/seen" or not length.isdecimal() or int(length) > MOST_BYTES:
            self._answer(HTTPStatus.BAD_REQUEST, f"a text of at most {MOST_BYTES:,} bytes goes to /seen")
            return
        try:
            self.model.ask(self.rfile.read(int(length)).decode("utf-8"))
            self._answer(HTTPStatus.OK, "seen")
        except (UsageError, FailedError, ValueError) as error:
            self._answer(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))

    def _asked(self) -> str | None:
        """The path, where the request comes from this machine's own page; else None, and it has its answer."""
        asked = urlsplit(self.path)
        host = self.headers.get("Host", "").rsplit(":", 1)[0]
        given = parse_qs(asked.query).get("key", [""])[0]
        # A page from elsewhere may reach this port by a name of its own, and does not know the key.
        if host not in (HOST, "localhost") or not secrets.compare_digest(given.encode(), self.model.key.encode()):
            self._answer(HTTPStatus.FORBIDDEN, "open the address that was printed, key included")
            return None
        return asked.path

    def _answer(self, status: HTTPStatus, page: str, policy: str | None = None, kind: str = "text/plain") -> None:
        content = page.encode("utf-8")
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("X-Content-Type-Options", "nosniff")
        if policy is not None:
            self.send_header("Content-Security-Policy", policy)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: what was asked is on the page."""
