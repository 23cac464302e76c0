"""A size as people write it, in bytes."""

import re

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def size_bytes(size: str | int) -> int:
    """The bytes of "1.5MB", "64 KiB", "2GB" or a plain number of them.

    Raises: ValueError where it is no size, or less than one byte.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", str(size))
    unit = _UNITS.get(found[2].upper()) if found else None
    if found is None or unit is None:
        raise ValueError(f'a size is a number of bytes, or such as "1.5MB" or "64KiB"; got {size!r}')
    count = int(float(found[1]) * unit)
    if count < 1:
        raise ValueError(f"a size must be at least one byte; got {size!r}")
    return count
