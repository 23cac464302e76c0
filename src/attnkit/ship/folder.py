"""What is shipped as files: a folder, or one .pyz that predicts by itself."""

import io
import os
import shutil
import zipfile
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from attnkit import __version__
from attnkit.errors import UsageError
from attnkit.files import write_bytes

SUFFIX = ".pyz"
# The part of attnkit that a bundle carries; packages that hold more elsewhere are empty here.
_CARRIED = (
    "errors.py",
    "data/encoding.py",
    "data/sentences.py",
    "data/tokens/tokenizer.py",
    "bundle/__init__.py",
    "bundle/artefact.py",
    "bundle/batches.py",
    "bundle/contents.py",
    "bundle/contract.py",
    "bundle/main.py",
    "bundle/predictions.py",
    "bundle/processor.py",
    "bundle/session.py",
)
_PACKAGES = {"__init__.py": f'"""attnkit, as far as a bundle needs it."""\n\n__version__ = "{__version__}"\n'}
_PACKAGES |= {"data/__init__.py": "", "data/tokens/__init__.py": ""}
_START = b"#!/usr/bin/env python3\n"
_MAIN = """import sys

sys.dont_write_bytecode = True
from attnkit.bundle.main import main

raise SystemExit(main())
"""
# One moment for every file, so that the same run gives the same bytes.
_MOMENT = (1980, 1, 1, 0, 0, 0)


def check_place(out: Path, bundle: bool, force: bool) -> None:
    """Refuse a place that cannot take what is shipped.

    Raises: UsageError where something stands there without `force`, its folder is missing, or its ending is wrong.
    """
    if bundle and out.suffix != SUFFIX:
        raise UsageError(
            f"a bundle is one file that ends in {SUFFIX}, and --out names {out}; call it {out.name}{SUFFIX}"
        )
    if not bundle and out.suffix == SUFFIX:
        raise UsageError(f"--out names {out}, a bundle; add --to bundle, or name a folder")
    if not out.absolute().parent.is_dir():
        raise UsageError(f"there is no folder {out.absolute().parent} to ship {out.name} into; make it first")
    if out.exists() and not force:
        raise UsageError(f"{out} already exists; choose another name with --out, or add --force")
    if out.exists() and out.is_dir() != (not bundle):
        raise UsageError(f"{out} is {'a folder' if out.is_dir() else 'a file'}; choose another name with --out")
    if out.is_dir() and not (out / "artefact.json").is_file() and any(out.iterdir()):
        raise UsageError(f"{out} is a folder of something else, which --force does not replace; choose another --out")


def write_folder(out: Path, held: Mapping[str, bytes]) -> None:
    """Put the files at `out`; what stood there goes once they stand, and comes back where they cannot."""
    beside, before = (out.with_name(f"{out.name}.{os.getpid()}.{what}") for what in ("partial", "before"))
    try:
        beside.mkdir()
        for name, content in held.items():
            write_bytes(beside / name, content)
        if out.exists():
            os.rename(out, before)
        try:
            os.rename(beside, out)
        except OSError:
            if before.exists():
                os.rename(before, out)
            raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    shutil.rmtree(before, ignore_errors=True)


def write_bundle(out: Path, held: Mapping[str, bytes]) -> None:
    """Put one file at `out` that holds the files, what opens them, and `__main__`; it may be executed."""
    write_bytes(out, bundled(held))
    out.chmod(0o755)


def bundled(held: Mapping[str, bytes]) -> bytes:
    """The bytes of a bundle."""
    source = files("attnkit")
    code = {name: text.encode() for name, text in _PACKAGES.items()}
    code |= {name: source.joinpath(*name.split("/")).read_bytes() for name in _CARRIED}
    inside = {"__main__.py": _MAIN.encode(), **held, **{f"attnkit/{name}": content for name, content in code.items()}}
    made = io.BytesIO()
    made.write(_START)
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in inside.items():
            entry = zipfile.ZipInfo(name, _MOMENT)
            entry.compress_type = zipfile.ZIP_STORED if name.endswith((".onnx", ".pt2")) else zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content)
    return made.getvalue()
