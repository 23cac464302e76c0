"""The pages of a service: one to try its models on, and one that tells how to ask."""

import json
from collections.abc import Mapping
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any

from attnkit.page.assemble import filled, program, style_sheet
from attnkit.page.report_style import Section, document

# In the order in which one stands on the other.
SCRIPTS = ("dom", "asking", "answer", "feedback", "upload", "main")
_OURS, _SHARED = files("attnkit.serve") / "web", files("attnkit.page") / "web"
DOCS_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_EXAMPLES: dict[str, Any] = {
    "text": "What a film!",
    "texts": ["What a film!", "Dull and slow."],
    "label": "good",
}


@cache
def predict_page() -> str:
    """The page that takes a text or a file and shows what the models say; it asks the service it came from alone."""
    style = style_sheet(_SHARED, ["theme"]) + "\n" + style_sheet(_OURS, ["page"])
    frame = (_OURS / "page.html").read_text(encoding="utf-8")
    return filled(frame, "Predictions", program(_OURS, SCRIPTS), style, connect="'self'")


def docs_page(openapi: Mapping[str, Any], *, token: bool) -> str:
    """The interface as a page that loads nothing: every path with its fields, an example and what it answers."""
    sections = [
        _section(path, method, asked, openapi, token)
        for path, methods in openapi["paths"].items()
        for method, asked in methods.items()
    ]
    carried = " Every request but those for health carries <code>Authorization: Bearer TOKEN</code>." if token else ""
    head = (
        f"<p>{escape(openapi['info']['description'])}{carried} The same as data: "
        '<a href="openapi.json">openapi.json</a>. <a href="./">Try it</a>.</p>'
    )
    return document("How to ask", head, sections)


def _section(path: str, method: str, asked: Mapping[str, Any], openapi: Mapping[str, Any], token: bool) -> Section:
    shape = _shape(asked.get("requestBody", {}).get("content", {}).get("application/json"), openapi)
    query = [(one["name"], one.get("description", ""), one["required"]) for one in asked.get("parameters", [])]
    needed = shape.get("required", ())
    fields = [(name, _said_of(field), name in needed) for name, field in shape.get("properties", {}).items()]
    reply = _shape(asked["responses"]["200"].get("content", {}).get("application/json"), openapi)
    gives = [(name, _said_of(field), True) for name, field in reply.get("properties", {}).items()]
    body = f"<p>{escape(asked['summary'])}</p>"
    body += f'<pre class="scroll">{escape(_example(path, method, shape, token))}</pre>'
    body += _table("In the address", query) + _table("In the body", fields) + _table("Answers with", gives, False)
    if method == "post":
        troubles = [(int(code), said["description"]) for code, said in asked["responses"].items() if code != "200"]
        told = "".join(f"<li>{code}: {escape(said)}</li>" for code, said in sorted(troubles))
        body += f"<details><summary>Errors</summary><ul>{told}</ul></details>"
    return Section(f"{method}{path.replace('/', '-')}", f"{method.upper()} {path}", body)


def _shape(content: Mapping[str, Any] | None, openapi: Mapping[str, Any]) -> Mapping[str, Any]:
    name = (content or {}).get("schema", {}).get("$ref", "").rpartition("/")[2]
    found: Mapping[str, Any] = openapi["components"]["schemas"].get(name, {})
    return found


def _said_of(field: Mapping[str, Any]) -> str:
    return str(field.get("description") or field.get("title") or "")


def _table(title: str, rows: list[tuple[str, str, bool]], marks: bool = True) -> str:
    if not rows:
        return ""
    lines = ""
    for name, said, needed in rows:
        mark = "" if needed or not marks else " (optional)"
        lines += f"<tr><td><code>{escape(name)}</code></td><td>{escape(said)}{mark}</td></tr>"
    return f"<table><tr><th colspan=2>{title}</th></tr>{lines}</table>"


def _example(path: str, method: str, shape: Mapping[str, Any], token: bool) -> str:
    carried = ' -H "Authorization: Bearer $TOKEN"' if token and not path.startswith("/health") else ""
    if path == "/predict/file":
        return f'curl{carried} --data-binary @reviews.csv "$URL/predict/file?name=reviews.csv"'
    if method == "get":
        return f'curl{carried} "$URL{path}"'
    body = json.dumps({name: _EXAMPLES[name] for name in shape.get("required", ()) if name in _EXAMPLES})
    return f"curl{carried} --json '{body}' \"$URL{path}\""
