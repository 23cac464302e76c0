"""What the pages about runs share: their style, their sections, and the table of contents."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a;background:#fff}
body{overflow-wrap:anywhere}.scroll{overflow-wrap:normal}h2{margin-top:2.2rem}
table{border-collapse:collapse;margin:.5rem 0 1.5rem}
td,th{padding:.25rem .7rem;text-align:left;vertical-align:top;border-bottom:1px solid #ddd}
.cell{text-align:right;min-width:2.2rem}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
.big{font-size:2.2rem;line-height:1.2;font-weight:600;margin:.2rem 0}
.box{background:#f4f4f1;border-left:4px solid #888;padding:.6rem 1rem;margin:1rem 0}
svg{background:#fafafa;border:1px solid #ddd;max-width:100%;height:auto}svg text{font:11px system-ui,sans-serif}
.scroll{overflow-x:auto}small,.muted{color:#555}summary{cursor:pointer}td small{display:block;white-space:nowrap}
figure{margin:.4rem 0}
.charts{display:flex;flex-wrap:wrap;gap:.4rem 1.2rem}.charts>figure{flex:1 1 22rem;max-width:28rem}
nav{columns:2;margin:1rem 0}nav a{display:block;color:#1e5fb3}
.mistake{border:1px solid #ddd;border-radius:4px;padding:.6rem .9rem;margin:.8rem 0}
.mistake p{margin:.2rem 0}.text{white-space:pre-wrap;line-height:1.75}
mark{color:inherit;border-radius:2px;padding:1px 0}
@media (max-width:36rem){body{margin:1rem auto;padding:0 .7rem}nav{columns:1}.big{font-size:1.7rem}}
"""
# Fewer sections are seen at one glance.
FEWEST_LISTED = 4


@dataclass(frozen=True)
class Section:
    """One part of a page: the `name` it is linked by, its title as plain text, its body as HTML (empty: left out)."""

    name: str
    title: str
    body: str


def document(title: str, head: str, sections: Sequence[Section]) -> str:
    """A whole page: `head` as HTML, a table of contents where there is much, and each section that says something."""
    said = [one for one in sections if one.body]
    links = "".join(f'<a href="#{one.name}">{escape(one.title)}</a>' for one in said)
    contents = f"<nav>{links}</nav>" if len(said) >= FEWEST_LISTED else ""
    bodies = "".join(f'<h2 id="{one.name}">{escape(one.title)}</h2>{one.body}' for one in said)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style><h1>{escape(title)}</h1>{head}{contents}{bodies}</html>\n"
    )


def listed(sentences: Sequence[str]) -> str:
    """The sentences as a list; nothing of none."""
    return "<ul>" + "".join(f"<li>{escape(one)}</li>" for one in sentences) + "</ul>" if sentences else ""
