"""Whoever starts a service wrongly reads one sentence, and nothing is left behind."""

import socket
import sys
from pathlib import Path

import pytest

from attnkit.serve.token import VARIABLE
from tests.verbs.calling import attn


def test_each_wrong_call_is_one_sentence(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    short = tmp_path / "token"
    short.write_text("short")
    calls: list[tuple[list[object], str]] = [
        ([tmp_path / "none"], "no run at"),
        ([tmp_path], "not a run directory"),
        ([trained, "--also", tmp_path / "none"], "no run at"),
        ([trained, "--also", trained], "given twice"),
        ([trained, "--host", "0.0.0.0"], VARIABLE),
        ([trained, "--proxy", "127.0.0.1"], "--proxy 127.0.0.1 lets other machines ask"),
        ([trained, "--host", "no such host"], "is no address"),
        ([trained, "--token-file", short], "needs 16 to 1,024"),
        ([trained, "--token-file", tmp_path / "none"], "cannot be read"),
        ([trained, "--port", "70000"], "0 to 65,535"),
        ([trained, "--batch-rows", "0"], "--batch-rows takes"),
        ([trained, "--queue-rows", "3"], "--queue-rows takes"),
        ([trained, "--timeout", "0"], "--timeout takes"),
        ([trained, "--max-body", "much"], "a size is"),
        ([trained, "--rate", "-1"], "--rate takes"),
        ([trained, "--drain", "-1"], "--drain takes"),
        ([trained, "--learn", tmp_path, "--port", "0"], "cannot be written"),
        ([trained, "--task", "x"], "one task alone"),
    ]
    for words, told in calls:
        ended = attn("serve", *words)
        assert ended.code == 2 and told in ended.fault, (words, ended)


def test_a_port_that_is_taken_is_named(trained: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        learn = tmp_path / "learn.jsonl"
        ended = attn("serve", trained, "--port", port, "--learn", learn)
        assert f"{port} of 127.0.0.1 cannot be had" in ended.fault and "--port" in ended.fault
        assert not learn.exists()


def test_a_missing_extra_is_named(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attnkit.serve.library.find_spec", lambda name: None if name == "uvicorn" else sys)
    assert "pip install 'attnkit[serve]'" in attn("serve", trained).fault
