"""The files of an artefact, in a folder or in one .pyz file, read and never executed."""

import hashlib
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path

from attnkit.errors import UsageError

CONTRACT, TOKENIZER, VERIFICATION, CARD = "artefact.json", "tokenizer.json", "verification.json", "README.md"


class Contents:
    """The files beside `artefact.json`.

    Raises: UsageError where there is no artefact at `path`.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        if not self.path.exists():
            raise UsageError(f"there is no artefact at {self.path}; `attn ship RUN --out {self.path}` makes one")
        if not is_artefact(self.path):
            raise UsageError(f"{self.path} is no artefact, as it holds no {CONTRACT}; `attn ship RUN` makes one")

    def read(self, name: str) -> bytes:
        """The bytes of one file.

        Raises: UsageError where it is missing or cannot be read.
        """
        try:
            if self.path.is_dir():
                return (self.path / name).read_bytes()
            with zipfile.ZipFile(self.path) as archive:
                return archive.read(name)
        except (FileNotFoundError, KeyError):
            raise UsageError(f"{self.path} lacks {name}; copy it again") from None
        except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError, ValueError) as error:
            raise UsageError(f"{name} of {self.path} cannot be read ({error}); copy it again") from None

    def read_checked(self, name: str, checksums: Mapping[str, str]) -> bytes:
        """The bytes of one file, which are those that were written.

        Raises: UsageError where it is missing, or differs from its checksum.
        """
        content = self.read(name)
        if hashlib.sha256(content).hexdigest() != checksums.get(name):
            raise UsageError(f"{name} of {self.path} was changed after it was written; copy it again, or ship it anew")
        return content


def is_artefact(path: Path) -> bool:
    """True where a folder or a zip file holds a contract."""
    if path.is_dir():
        return (path / CONTRACT).is_file()
    if not path.is_file() or not zipfile.is_zipfile(path):
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return CONTRACT in archive.namelist()
    except (OSError, zipfile.BadZipFile, ValueError):
        return False
