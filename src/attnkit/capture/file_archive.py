"""The zip of a capture: the same bytes for the same content, and nothing read that was not bounded before."""

import io
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from attnkit.capture.file_codes import DEFLATE, Coded

MANIFEST = "manifest.json"
MOST_MEMBERS = 20_000
# What a file may become in memory: a little for free, and so many times what it is on disk.
FREE_BYTES = 32 * 2**20
MOST_GROWTH = 200
_CHUNK_BYTES = 2**20
_END = struct.Struct("<4s4H2LH")
_ENTRY_BYTES, _LONGEST_NAME = 46, 32
# The local and the central entry of a member, without its name.
_MEMBER_BYTES = 30 + _ENTRY_BYTES
_LONG_AGO = (1980, 1, 1, 0, 0, 0)
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    RuntimeError,
    UnicodeError,
    LookupError,
    ArithmeticError,
)


def member(index: int) -> str:
    """The name of the array of that number; there are no other names but that of the manifest."""
    return f"arrays/{index:05d}.bin"


def written(manifest: bytes, arrays: Sequence[Coded]) -> bytes:
    """The whole zip.

    Raises: ValueError where it would hold more arrays, or more bytes, than a zip of this kind takes.
    """
    if len(arrays) >= MOST_MEMBERS:
        raise ValueError(f"a capture's file holds at most {MOST_MEMBERS} arrays; got {len(arrays)}: keep fewer layers")
    held = io.BytesIO()
    try:
        with zipfile.ZipFile(held, "w", allowZip64=False) as archive:
            _put(archive, MANIFEST, manifest, True)
            for index, array in enumerate(arrays):
                _put(archive, member(index), array.content, array.squeezed)
    except (zipfile.LargeZipFile, struct.error):
        raise ValueError("a capture's file holds at most 4 GiB: give a budget, or keep fewer layers") from None
    return held.getvalue()


def _put(archive: zipfile.ZipFile, name: str, content: bytes, squeezed: bool) -> None:
    entry = zipfile.ZipInfo(name, _LONG_AGO)
    entry.create_system, entry.external_attr = 3, (stat.S_IFREG | 0o644) << 16
    entry.compress_type = zipfile.ZIP_DEFLATED if squeezed else zipfile.ZIP_STORED
    archive.writestr(entry, content, compresslevel=DEFLATE)


def bytes_of_zip(manifest: bytes, arrays: Sequence[Coded]) -> int:
    """What `written` would give, without writing it."""
    packer = zlib.compressobj(DEFLATE, zlib.DEFLATED, -15)
    own = len(packer.compress(manifest)) + len(packer.flush()) + _MEMBER_BYTES + 2 * len(MANIFEST)
    entries = sum(one.bytes_in_file + _MEMBER_BYTES + 2 * len(member(index)) for index, one in enumerate(arrays))
    return own + entries + _END.size


class Archive:
    """A zip that may mean harm: names, sizes and kinds of members are looked at before any is unpacked.

    Raises: ValueError in one sentence where it is no zip, is cut off, is encrypted, or holds links, doubles, other
        members than a capture has, or more than `most_bytes` or 32 MiB and 200 times its own size.
    """

    def __init__(self, path: str | os.PathLike[str], most_bytes: int) -> None:
        size = Path(path).stat().st_size
        self._left = min(most_bytes, FREE_BYTES + MOST_GROWTH * size)
        self._file = open(path, "rb")  # noqa: SIM115 (closed by __exit__)
        try:
            self._members = self._looked_at(size)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> "Archive":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._zip.close()
        self._file.close()

    @property
    def arrays(self) -> int:
        """How many arrays there are."""
        return len(self._members) - 1

    def spend(self, bytes_in_memory: int) -> None:
        """Count what is about to be made.

        Raises: ValueError where that is more than is left.
        """
        self._left -= bytes_in_memory
        if self._left < 0:
            raise ValueError("it would grow to more than its size allows")

    def size(self, name: str) -> int:
        """How long the member says it is."""
        return self._members[name].file_size

    def read(self, name: str) -> bytes:
        """The member, and not a byte more than it said it has.

        Raises: ValueError where it is damaged.
        """
        entry, parts, got = self._members[name], [], 0
        try:
            with self._zip.open(entry) as source:
                while part := source.read(_CHUNK_BYTES):
                    parts.append(part)
                    got += len(part)
                    if got > entry.file_size:
                        break
        except _DAMAGE as error:
            raise ValueError(f"{name} is damaged ({_first_line(error)})") from None
        if got != entry.file_size:
            raise ValueError(f"{name} has {got} bytes, not the {entry.file_size} it says")
        return b"".join(parts)

    def _looked_at(self, size: int) -> dict[str, zipfile.ZipInfo]:
        self._check_end(size)
        try:
            self._zip = zipfile.ZipFile(self._file)
        except _DAMAGE as error:
            raise ValueError(f"its list of members is damaged ({_first_line(error)})") from None
        found: dict[str, zipfile.ZipInfo] = {}
        for entry in self._zip.infolist():
            _check_entry(entry)
            if entry.filename in found:
                raise ValueError(f"it holds {entry.filename} twice")
            found[entry.filename] = entry
        wanted = {MANIFEST, *(member(index) for index in range(len(found) - 1))}
        if found.keys() != wanted:
            odd = sorted(found.keys() - wanted) or sorted(wanted - found.keys())
            raise ValueError(f"its members are not those of a capture, which {odd[0][:60]!r} tells")
        if sum(entry.compress_size for entry in found.values()) > size:
            raise ValueError("its members overlap")
        if sum(entry.file_size for entry in found.values()) > self._left:
            raise ValueError("its members would unpack to more than its size allows")
        return found

    def _check_end(self, size: int) -> None:
        """The last record says how long the list of members is, before the list is read."""
        self._file.seek(max(0, size - _END.size))
        last = self._file.read(_END.size)
        if len(last) < _END.size or not last.startswith(b"PK\x05\x06"):
            raise ValueError("it is no zip, or its end is cut off")
        _, _, _, here, entries, listed, _, comment = _END.unpack(last)
        most = min(size, (_ENTRY_BYTES + _LONGEST_NAME) * entries)
        if comment or here != entries or not 0 < entries <= MOST_MEMBERS or listed > most:
            raise ValueError("its list of members is none of a capture")


def _check_entry(entry: zipfile.ZipInfo) -> None:
    name = entry.filename[:60]
    if entry.flag_bits & 0x1:
        raise ValueError(f"member {name!r} is encrypted")
    if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG):
        raise ValueError(f"member {name!r} is no plain file but a link or a device")
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"member {name!r} is packed in a way that captures are not")


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:100]
