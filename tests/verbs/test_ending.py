"""How a call ends: exit code, one sentence, and nothing that a pipe or a plain terminal cannot take."""

import io
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from attnkit.cli import faults
from attnkit.cli.terminal import typed_or_piped
from attnkit.errors import FailedError, UsageError
from tests.verbs.calling import Ended, attn


def attn_process(*words: str, before: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """`attn` as a process of its own; `before` is Python that runs first."""
    code = f"import sys\n{before}\nfrom attnkit.cli.app import main\nsys.exit(main({list(words)!r}))"
    source = str(Path(__file__).parents[2] / "src")
    kept = {**os.environ, "PYTHONPATH": source, "OMP_NUM_THREADS": "1", **environment}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=kept, timeout=120)


def test_the_version_is_the_library_s() -> None:
    from attnkit import __version__

    assert attn("--version") == Ended(0, f"{__version__}\n", "")


def test_help_names_every_verb_in_its_group() -> None:
    shown = attn("--help")
    assert shown.code == 0 and not shown.err
    order = [
        shown.out.index(title) for title in ("─ Begin ─", "─ The loop ─", "─ Attention ─", "─ Looking after runs ─")
    ]
    assert order == sorted(order)
    for verb in [
        "quickstart",
        "train",
        "evaluate",
        "predict",
        "check",
        "init",
        "list",
        "describe",
        "laws",
        "runs",
        "info",
        "doctor",
    ]:
        assert f"│ {verb} " in shown.out


def test_help_does_not_import_torch() -> None:
    done = attn_process(
        "train", "--help", before="import atexit; atexit.register(lambda: print('torch' in sys.modules))"
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("False\n")


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["trian"], 'did you mean "train"'),
        (["train", "x.csv", "--epocs", "3"], "did you mean --epochs"),
        (["predict", "run", "x", "--probabilites"], "did you mean --probabilities"),
        (["describe", "longfromer"], "did you mean 'longformer'"),
        (["evaluate"], "RUN"),
    ],
)
def test_wrong_use_is_two_and_names_what_was_meant(words: list[str], hint: str) -> None:
    ended = attn(*words)
    assert ended.code == 2
    assert hint in ended.fault


def test_options_may_stand_before_and_between_texts(trained: Path) -> None:
    run = trained / "run"
    wanted = attn("predict", run, "a film", "a plot", "--probabilities")
    assert wanted.code == 0
    assert attn("predict", "--probabilities", run, "a film", "a plot") == wanted
    assert attn("predict", run, "--probabilities", "a film", "a plot") == wanted
    assert attn("predict", run, "a film", "--probabilities", "a plot") == wanted


def test_did_you_mean_a_file(here: Path) -> None:
    (here / "reviews.csv").write_text("text,label\n")
    assert "did you mean 'reviews.csv'" in attn("check", "review.csv").fault


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (UsageError("no such thing; name another"), 2, "attn: No such thing; name another."),
        (FailedError("it broke"), 1, "attn: It broke."),
        (KeyboardInterrupt(), 130, "attn: Stopped by Ctrl-C."),
        (MemoryError(), 1, "attn: Memory is exhausted"),
        (PermissionError(13, "Permission denied", "/x/y"), 1, "/x/y cannot be used (Permission denied)"),
        (
            ZeroDivisionError("a\nb"),
            1,
            "attn: Something unforeseen happened (ZeroDivisionError: a b); run it",
        ),
    ],
)
def test_whatever_a_verb_raises_is_one_sentence(
    error: BaseException, code: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*words: object) -> None:
        raise error

    monkeypatch.setattr("attnkit.run.listing.list_runs", fail)
    ended = attn("runs")
    assert ended.code == code and not ended.out
    assert ended.err.startswith("attn: ") and ended.err.count("\n") == 1 and said in ended.err


def test_debug_shows_where(monkeypatch: pytest.MonkeyPatch) -> None:
    for words in (["--debug", "runs", "nowhere"], ["runs", "nowhere", "--debug"]):
        with pytest.raises(UsageError, match="nowhere"):
            attn(*words)
    assert "nowhere" in attn("runs", "--", "nowhere").fault


def test_a_sentence_is_one_line_with_its_stop() -> None:
    assert faults.one_sentence("a\n  b") == "A b."
    assert faults.one_sentence("data holds no text", ["train", "data"]) == "data holds no text."
    assert faults.one_sentence("x.csv:3 is not UTF-8") == "x.csv:3 is not UTF-8."
    assert faults.one_sentence("model_width=5 does not split") == "model_width=5 does not split."
    assert faults.one_sentence("is it?") == "Is it?"


def test_a_full_disk_is_said_plainly() -> None:
    code, said = faults.ending_of(OSError(28, "No space left on device"))
    assert code == 1 and "No space left on device" in said and "unforeseen" not in said


def test_a_closed_pipe_is_quiet() -> None:
    read, write = os.pipe()
    os.close(read)
    source = str(Path(__file__).parents[2] / "src")
    done = subprocess.run(
        [sys.executable, "-m", "attnkit.cli", "list"],
        stdout=write,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": source},
        timeout=120,
    )
    os.close(write)
    assert done.returncode == 141
    assert done.stderr == b""


def on_a_terminal(*words: str, **environment: str) -> str:
    """What `attn` writes where standard output is a terminal."""
    leader, follower = pty.openpty()
    kept = {key: value for key, value in os.environ.items() if key not in {"NO_COLOR", "FORCE_COLOR"}}
    kept |= {"PYTHONPATH": str(Path(__file__).parents[2] / "src"), "TERM": "xterm-256color", "COLUMNS": "100"}
    process = subprocess.Popen(
        [sys.executable, "-m", "attnkit.cli", *words], stdout=follower, stderr=follower, env={**kept, **environment}
    )
    os.close(follower)
    seen = b""
    try:
        while piece := os.read(leader, 65536):
            seen += piece
    except OSError:
        pass  # Linux answers so where the other side is closed
    os.close(leader)
    assert process.wait(60) == 0
    return seen.decode()


def test_predict_at_a_terminal_says_what_it_waits_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(b"a film"))
    monkeypatch.setattr("sys.stdin", stdin)
    assert typed_or_piped() == b"a film" and capsys.readouterr() == ("", "")
    stdin.buffer.seek(0)
    monkeypatch.setattr(stdin, "isatty", lambda: True)
    assert typed_or_piped() == b"a film"
    assert capsys.readouterr() == ("", "Type texts, one a line; end with Ctrl-D.\n")


def test_predict_refuses_force_without_a_file_to_replace(here: Path) -> None:
    (here / "t.txt").write_text("a film\n")
    for words in (["a film"], ["--file", "t.txt"]):
        assert "--force" in attn("predict", "run", *words, "--force").fault


def test_color_is_for_terminals_that_want_it(trained: Path) -> None:
    words = ["predict", str(trained / "run"), "a lovely film", "--where"]
    assert "\x1b[" in on_a_terminal(*words)
    assert "\x1b[" not in on_a_terminal(*words, NO_COLOR="1")


def test_a_plain_pipe_gets_no_codes_and_what_its_encoding_can_write(trained: Path) -> None:
    done = attn_process("predict", str(trained / "run"), "一部电影", "--where", PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert "\\u4e00" in done.stdout and "\x1b[" not in done.stdout
