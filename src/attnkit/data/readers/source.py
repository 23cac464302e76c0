"""From a path to clean text: unpacked, decoded, and refused with a line number where it is neither."""

import gzip
import io
import zlib
from pathlib import Path

from attnkit.errors import UsageError

GZIP = b"\x1f\x8b"
PARQUET = b"PAR1"
_FOREIGN = {
    PARQUET: "is a Parquet file; give it a name that ends in .parquet",
    b"ARROW1": "is an Arrow file; give it a name that ends in .arrow",
    b"PK\x03\x04": "is a zip or Excel file; unpack it, or export the sheet as CSV",
    b"%PDF": "is a PDF; attnkit reads CSV, TSV, JSON lines and Parquet",
    b"\x89HDF": "is an HDF5 file; export it as CSV or Parquet",
}
_WIDE_MARKS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
_CHUNK_BYTES = 1 << 20
_SAMPLE_BYTES = 100_000
_CHINESE_MARKS = "，。！？；：、“”‘’（）《》…—"


def load_bytes(path: Path) -> bytes:
    """The content of a file.

    Raises: UsageError where it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror or error}); check the name and its rights.") from None
    except MemoryError:
        raise UsageError(f"{path} does not fit into memory; split it into smaller files.") from None


def load_text(path: Path) -> str:
    """The text of a UTF-8 file, unpacked where its name ends in .gz, without a byte order mark.

    Raises: UsageError for damaged gzip data, another kind of file, NUL bytes or wrong encoding, with the line.
    """
    content = load_bytes(path)
    if path.name.lower().endswith(".gz") and content:
        content = _unpacked(path, content)
    elif content.startswith(GZIP):
        raise UsageError(f"{path} is gzip data; give it a name that ends in .gz.")
    for mark, sentence in _FOREIGN.items():
        if content.startswith(mark):
            raise UsageError(f"{path} {sentence}.")
    text = _decoded(path, content)
    if not text.strip():
        raise UsageError(f"{path} is empty; it needs at least a row of data.")
    return text


def line_of(content: bytes, position: int) -> int:
    """The line (from 1) on which the byte at `position` stands."""
    newline = b"\n" if b"\n" in content else b"\r"
    return content.count(newline, 0, position) + 1


def _unpacked(path: Path, content: bytes) -> bytes:
    if not content.startswith(GZIP):
        raise UsageError(f"{path} is named .gz and is not gzip data; remove .gz from its name or pack it with gzip.")
    done = bytearray()
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as packed:
            while chunk := packed.read(_CHUNK_BYTES):
                done += chunk
    except (EOFError, OSError, zlib.error) as error:
        line = done.count(b"\n") + 1
        what = "ends too early" if isinstance(error, EOFError) else "is damaged"
        raise UsageError(f"{path}:{line} the gzip data {what} here; fetch or pack the file again.") from None
    except MemoryError:
        raise UsageError(f"{path} does not fit into memory unpacked; split it into smaller files.") from None
    return bytes(done)


def _decoded(path: Path, content: bytes) -> str:
    for mark, encoding in _WIDE_MARKS.items():
        if content.startswith(mark):
            raise UsageError(f"{path} is {encoding}; save it as UTF-8, for example with: iconv -f {encoding} -t UTF-8.")
    nul = content.find(b"\0")
    if nul >= 0:
        place = f"{path}:{line_of(content, nul)}"
        raise UsageError(f"{place} holds a NUL byte, so this is not a text file; give a CSV, TSV or JSON lines file.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        # Behind a byte order mark the decoder counts from after the mark.
        start = error.start + (3 if content.startswith(b"\xef\xbb\xbf") else 0)
        place = f"{path}:{line_of(content, start)}"
        raise UsageError(f"{place} is not UTF-8 (byte 0x{content[start]:02x}); {_advice(content)}.") from None


def _advice(content: bytes) -> str:
    """What to do about wrong bytes: mend a few in a UTF-8 file, or convert from the likely encoding of all."""
    sample = content[:_SAMPLE_BYTES]
    foreign = sum(byte > 0x7F for byte in sample)
    sound = sum(len(letter.encode()) for letter in sample.decode("utf-8", errors="ignore") if letter > "\x7f")
    if 2 * sound > foreign and foreign - sound <= max(4, foreign // 10):
        return "the rest of the file is, so mend the line"
    return f"convert the file, for example with: iconv -f {_likely_encoding(sample)} -t UTF-8"


def _likely_encoding(sample: bytes) -> str:
    """GB18030 where nearly all bytes above ASCII then read as common Chinese characters, else Windows-1252."""
    letters = [letter for letter in sample.decode("gb18030", errors="replace") if letter > "\x7f"]
    chinese = sum("\u4e00" <= letter <= "\u9fff" or letter in _CHINESE_MARKS for letter in letters)
    return "GB18030" if chinese > 3 and 10 * chinese > 9 * len(letters) else "WINDOWS-1252"
