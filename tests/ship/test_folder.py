"""Files of an artefact come whole or not at all, and what stood there goes last."""

import os
from pathlib import Path

import pytest

from attnkit.ship.folder import write_folder


def test_what_stood_there_is_replaced_or_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    write_folder(out, {"a": b"1"})
    write_folder(out, {"b": b"2"})
    assert [one.name for one in out.iterdir()] == ["b"] and [one.name for one in tmp_path.iterdir()] == ["out"]
    rename = os.rename

    def refusing(source: Path, target: Path) -> None:
        if str(source).endswith(".partial"):
            raise OSError("the disk is gone")
        rename(source, target)

    monkeypatch.setattr(os, "rename", refusing)
    with pytest.raises(OSError, match="gone"):
        write_folder(out, {"c": b"3"})
    assert [one.name for one in out.iterdir()] == ["b"] and [one.name for one in tmp_path.iterdir()] == ["out"]
