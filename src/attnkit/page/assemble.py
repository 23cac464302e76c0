"""Pages put together from files of their own: documents that load nothing, under a policy that allows nothing else."""

import base64
import hashlib
import re
from collections.abc import Sequence
from html import escape
from importlib.resources.abc import Traversable

_IMPORT = re.compile(r"^import \{([^}]*)\} from \"\./(\w+)\.js\";$", re.MULTILINE)
_EXPORTED = re.compile(r"^export (?:async )?(?:function|class|const|let) (\w+)", re.MULTILINE)
_MARK = re.compile(r"\{\{(\w+)\}\}")
_EXPORT = re.compile(r"^export ", re.MULTILINE)


def program(folder: Traversable, names: Sequence[str]) -> str:
    """The modules `names` as one program: each a function that gives what it exports, end to end, without indents.

    They stand in the order in which one imports the other.
    """
    parts = []
    for name in names:
        source = (folder / f"{name}.js").read_text(encoding="utf-8")
        exported = ", ".join(_EXPORTED.findall(source))
        body = _EXPORT.sub("", _IMPORT.sub(r"const {\1} = from_\2;", source))
        lines = (line.strip() for line in body.splitlines())
        kept = "\n".join(line for line in lines if line and not line.startswith("//"))
        parts.append(f"const from_{name} = (() => {{\n{kept}\nreturn {{ {exported} }};\n}})();")
    return "\n".join(parts)


def style_sheet(folder: Traversable, names: Sequence[str]) -> str:
    """The style sheets `names` as one, without indents."""
    sheet = "".join((folder / f"{name}.css").read_text(encoding="utf-8") for name in names)
    return "\n".join(line.strip() for line in sheet.splitlines() if line.strip())


def filled(frame: str, title: str, script: str, style: str, *, connect: str = "'none'", **more: str) -> str:
    """The frame with title, program and style, under a policy that lets nothing else run.

    `connect` says what the page may ask of a network: nothing, or with "'self'" where it came from. What `more` holds
    goes in as it stands.
    """
    policy = (
        f"default-src 'none'; script-src '{_fingerprint(script)}'; style-src '{_fingerprint(style)}'; "
        f"connect-src {connect}; base-uri 'none'; form-action 'none'"
    )
    values = {"policy": policy, "title": escape(title), "style": style, "script": script, **more}
    return _MARK.sub(lambda found: values[found[1]], frame)


def _fingerprint(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
