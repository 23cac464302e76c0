"""The token that clients must carry where a service is reached from elsewhere."""

import hashlib
import hmac
import os
from pathlib import Path

from attnkit.errors import UsageError

VARIABLE = "ATTNKIT_SERVE_TOKEN"
_SHORTEST, _LONGEST = 16, 1024


def read_token(file: Path | None) -> str | None:
    """The token of the file, or else of the environment variable ATTNKIT_SERVE_TOKEN; None where there is neither.

    Raises: UsageError where it cannot be read, is too short to be safe, or holds what no header may.
    """
    if file is None:
        token, where = os.environ.get(VARIABLE), VARIABLE
        if token is None:
            return None
    else:
        where = str(file)
        try:
            token = file.read_text("ascii")
        except UnicodeDecodeError:
            raise UsageError(f"the token in {where} is not plain ASCII; make one with: openssl rand -hex 32") from None
        except OSError as error:
            raise UsageError(f"the token file {where} cannot be read ({error.strerror}); check the name") from None
    token = token.strip()
    if not _SHORTEST <= len(token) <= _LONGEST:
        raise UsageError(
            f"the token in {where} has {len(token):,} characters and needs {_SHORTEST} to {_LONGEST:,}; "
            "make one with: openssl rand -hex 32"
        )
    if not all("!" <= letter <= "~" for letter in token):
        raise UsageError(f"the token in {where} holds white space or a letter beyond ASCII; keep one line without them")
    return token


def carries(header: str | None, token: str) -> bool:
    """True where an Authorization header carries the token; the time it takes says nothing about how much agrees."""
    scheme, _, given = (header or "").partition(" ")
    same = hmac.compare_digest(_digest(given.strip()), _digest(token))
    return same and scheme.lower() == "bearer"


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
