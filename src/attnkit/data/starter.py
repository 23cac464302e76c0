"""The data that a first run learns from: movie sentences where an index answers, handwritten digits where none does."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from attnkit.data.digit_patches import digit_patches
from attnkit.data.movie_sentences import movie_sentences
from attnkit.errors import FailedError
from attnkit.files import write_text

MOVIES_SHA256 = "894a62650ec0128c01fd03391c1c9eb3234e867d8f24fde4219829c04202dfa3"
MOVIE_EXAMPLES = (
    "A warm, funny and beautifully acted film that I wanted to see again at once.",
    "Dull, far too long, and nobody in it seems to be awake.",
)


@dataclass(frozen=True)
class Starter:
    """A data file to begin with: where it lies, what it is called, what was said on the way, two texts to predict."""

    path: Path
    name: str
    said: tuple[str, ...]
    examples: tuple[str, str]


def starter(cache: str | os.PathLike[str] | None = None, offline: bool = False) -> Starter:
    """The quickstart's data file, obtained on the first call and read from the cache folder ever after.

    `cache` stands in for the folder that ATTNKIT_CACHE or the system names; `offline` asks no index.

    Raises: FailedError where the cache folder cannot be written.
    """
    folder = Path(cache) if cache is not None else cache_folder()
    try:
        return _movies(folder, offline)
    except FailedError as error:
        return _digits(folder, str(error))


def cache_folder() -> Path:
    """Where things obtained once are kept: ATTNKIT_CACHE, or attnkit in the user's cache folder."""
    named = os.environ.get("ATTNKIT_CACHE")
    if named:
        return Path(named)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "attnkit"


def _movies(folder: Path, offline: bool) -> Starter:
    path = folder / "movie-sentences.csv"
    if _is_whole(path):
        said = f"Movie sentences rated by people, from the cache: {path}"
    elif offline:
        raise FailedError("No index was asked for the movie sentences, as told, and the cache does not hold them.")
    else:
        _keep(path, movie_sentences())
        said = f"Movie sentences rated by people (Hutto and Gilbert, 2014, MIT licence), through pip, kept in {path}"
    return Starter(path, "movie-sentences", (said,), MOVIE_EXAMPLES)


def _digits(folder: Path, why: str) -> Starter:
    path = folder / "digit-patches.csv"
    text, examples = digit_patches()
    _keep(path, text)
    instead = "Instead: scikit-learn's handwritten digits, each 8 x 8 image as a sentence of 64 words, one a pixel."
    return Starter(path, "digit-patches", (why, instead), examples)


def _is_whole(path: Path) -> bool:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() == MOVIES_SHA256
    except OSError:
        return False


def _keep(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
    except OSError as error:
        raise FailedError(
            f"The cache folder {path.parent} cannot be used ({error.strerror or error}); "
            "set ATTNKIT_CACHE to a folder that can."
        ) from None
