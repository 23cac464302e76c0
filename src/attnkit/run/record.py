"""A JSON file of a run: it carries the format version and a checksum of its own content."""

import hashlib
import json
from pathlib import Path
from typing import Any

from attnkit.errors import UsageError
from attnkit.files import write_text

FORMAT = 1
_LARGEST_BYTES = 1 << 30


def write_record(path: Path, values: dict[str, Any]) -> None:
    """Write `values` with the format version and the checksum, in one step."""
    values = {"format": FORMAT, **values}
    write_text(path, json.dumps({"checksum": _checksum(values), **values}, ensure_ascii=False, indent=1) + "\n")


def read_record(path: Path) -> dict[str, Any]:
    """What `write_record` wrote.

    Raises: UsageError where the file is missing, damaged, changed by hand, or of a newer format.
    """
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise ValueError("it is larger than any record")
        values = json.loads(path.read_text("utf-8"))
        if not isinstance(values, dict):
            raise ValueError("it is not an object")
    except FileNotFoundError:
        raise UsageError(f"{path} is missing; copy the whole run directory again") from None
    except NotADirectoryError:
        raise UsageError(f"{path.parent} is not a run directory") from None
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path} cannot be read ({error}); copy the run directory again") from None
    if values.get("format") != FORMAT:
        raise UsageError(
            f"{path} has format {values.get('format')!r}, this version of attnkit reads {FORMAT}; update it"
        )
    if values.pop("checksum", None) != _checksum(values):
        raise UsageError(
            f"{path} was changed after it was written (its checksum differs); copy the run directory again"
        )
    return values


def file_sha256(path: Path) -> str:
    """The checksum of a file's bytes, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _checksum(values: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
