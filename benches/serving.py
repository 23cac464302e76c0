"""Does a service answer rightly, stay up and stay small under load, and lose nothing when it is told to stop?

    python -m benches.serving RUN TEXTS [--requests 10000] [--concurrency 32] [--out benches/results/DATE-serving.md]

TEXTS is a data file or folder. Two services of the run stand side by side, one that batches and one that does not, and
take turns block by block; a tenth of the requests is malformed in one of many ways. Each answer is compared with what
the run's Predictor says of that text alone. A third service is sent SIGTERM in the middle. Anything wrong fails.
"""

import argparse
import asyncio
import datetime
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from attnkit.data.examples import to_examples
from attnkit.data.readers import read
from attnkit.run.machine import describe_machine
from attnkit.task.base import Prediction
from attnkit.train.predictor import load

COMMAND = [sys.executable, "-c", "import sys; from attnkit.cli.app import main; sys.exit(main())", "serve"]
APART, GROWTH_BYTES, SETTLED, BLOCK = 1e-5, 5 << 20, 2000, 500
HEAD = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Request:
    """Bytes to send, the texts they ask about (none where malformed), and the statuses that are right."""

    kind: str
    content: bytes
    texts: tuple[str, ...] = ()
    right: frozenset[int] = frozenset({200})


@dataclass
class Side:
    """One service under load, and what was seen of it."""

    name: str
    process: "subprocess.Popen[str]"
    url: str
    log: Path
    asked: int = 0
    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    furthest: float = 0.0
    held_bytes: list[tuple[int, int]] = field(default_factory=list)

    def growth_bytes(self, settled: int) -> int:
        """How much more memory was held at most than at request `settled`."""
        after = [held for asked, held in self.held_bytes if asked >= settled]
        return max(after) - after[0] if after else 0

    def processor_seconds(self) -> float:
        """Processor time of the service so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def sample(self) -> None:
        """Note the memory it holds."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        held = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:"))
        self.held_bytes.append((self.asked, 1024 * int(held)))


@contextmanager
def service(name: str, run: Path, folder: Path, *options: str) -> Iterator[Side]:
    """A service of the run on a free port, stopped at the end."""
    log = folder / f"{name}.log"
    with open(log, "w") as errors:
        words = [*COMMAND, str(run), "--port", "0", "--threads", "1", "--json", *options]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=errors, text=True)
    try:
        assert process.stdout is not None
        said = ""
        while not said.rstrip().endswith("}"):
            line = process.stdout.readline()
            if not line:
                raise RuntimeError(f"the service did not start: {log.read_text()}")
            said += line
        yield Side(name, process, json.loads(said)["url"], log)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


class Lost(Exception):
    """A request that was sent and got no answer."""


class Connection:
    """One connection that is kept alive, as a client of many requests has."""

    def __init__(self, url: str) -> None:
        where = urlsplit(url)
        self.host, self.port = str(where.hostname), int(where.port or 0)
        self.streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, content: bytes) -> tuple[int, bytes]:
        """Status and body of the answer.

        Raises: OSError where nobody listens; Lost where the answer does not come.
        """
        if self.streams is None:
            self.streams = await asyncio.open_connection(self.host, self.port)
        reader, writer = self.streams
        try:
            writer.write(content)
            await writer.drain()
            head = await reader.readuntil(b"\r\n\r\n")
            first, *rest = head.decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
        except (OSError, asyncio.IncompleteReadError) as error:
            self.close()
            raise Lost(type(error).__name__) from None
        if headers.get("connection") == "close":
            self.close()
        return int(first.split(" ")[1]), body

    def close(self) -> None:
        """Begin the next request on a new connection."""
        if self.streams is not None:
            self.streams[1].close()
            self.streams = None


def http(path: str, body: bytes, method: str = "POST", headers: dict[str, str] = HEAD) -> bytes:
    """A request as bytes."""
    told = {"Host": "localhost", "Content-Length": str(len(body)), **headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in told.items())
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode() + body


MALFORMED: dict[str, tuple[bytes, set[int]]] = {
    "bad JSON": (http("/predict", b'{"text": "a'), {422}),
    "wrong type": (http("/predict", b'{"text": 7}'), {422}),
    "null": (http("/predict", b'{"text": null}'), {422}),
    "another field": (http("/predict", b'{"text": "a", "texts": []}'), {422}),
    "empty": (http("/predict", b""), {422}),
    "no content type": (http("/predict", b'{"text": "a"}', headers={}), {422}),
    "not UTF-8": (http("/predict", b'{"text": "\xff\xfe\xfa"}'), {422}),
    "half a character": (http("/predict", b'{"text": "\\udc00"}'), {422}),
    "invalid pair": (http("/predict", b'{"text": ["a", "b", "c"]}'), {422}),
    "a pair of another kind": (http("/predict/batch", b'{"texts": ["a", ["b", "c"]]}'), {422}),
    "binary": (http("/predict", bytes(range(256)) * 40), {422}),
    "deep": (http("/predict", b"[" * 20_000), {422}),
    "wrong route": (http("/forecast", b"{}"), {404}),
    "wrong method": (http("/predict", b"", "PUT"), {405}),
    "no such model": (http("/predict", b'{"text": "a", "model": "b"}'), {422}),
    "too many texts": (http("/predict/batch", json.dumps({"texts": ["a"] * 300}).encode()), {413}),
    "no texts": (http("/predict/batch", b'{"texts": []}'), {422}),
    "huge": (http("/predict", b'{"text": "' + b"a" * (1 << 21) + b'"}'), {413}),
    "no file's name": (http("/predict/file", b"text\na\n", headers={}), {422}),
    "another kind of file": (http("/predict/file?name=a.exe", b"MZ", headers={}), {422}),
    "no HTTP": (b"\x00\x01\x02 nonsense\r\n\r\n", {400}),
}


def drawn(count: int, texts: list[str], seed: int) -> list[Request]:
    """Requests in a fixed order, every tenth malformed."""
    draw, kinds = random.Random(seed), list(MALFORMED)
    found = []
    for number in range(count):
        if number % 10 == 9:
            kind = kinds[(number // 10) % len(kinds)]
            content, right = MALFORMED[kind]
            found.append(Request(kind, content, right=frozenset(right)))
            continue
        path = draw.choices(["/predict", "/predict/batch", "/attention"], [8, 1, 1])[0]
        some = tuple(draw.choices(texts, k=draw.randint(1, 8) if path == "/predict/batch" else 1))
        body = {"texts": some} if path == "/predict/batch" else {"text": some[0]}
        found.append(Request(path, http(path, json.dumps(body).encode()), some))
    return found


async def load_block(side: Side, requests: list[Request], known: dict[str, Prediction], concurrency: int) -> None:
    """Send the requests over as many connections as `concurrency`, and check every answer."""
    waiting = list(reversed(requests))

    async def client() -> None:
        connection = Connection(side.url)
        while waiting:
            request = waiting.pop()
            began = time.perf_counter()
            try:
                status, body = await connection.ask(request.content)
            except (OSError, Lost) as error:
                side.wrong.append(f"{request.kind}: no answer ({error!r})")
                continue
            finally:
                side.asked += 1
            if request.kind == "/predict":
                side.seconds.append(time.perf_counter() - began)
            side.statuses[status] += 1
            check(side, request, status, body, known)
        connection.close()

    await asyncio.gather(*(client() for _ in range(concurrency)))


def check(side: Side, request: Request, status: int, body: bytes, known: dict[str, Prediction]) -> None:
    """Note an answer of the wrong status, a wrong prediction, or an error that is not one sentence."""
    if status not in request.right:
        side.wrong.append(f"{request.kind}: {status} {body[:80]!r}")
        return
    if not request.texts:
        if request.kind != "no HTTP" and list(json.loads(body)) != ["error"]:
            side.wrong.append(f"{request.kind}: {body[:80]!r}")
        return
    answer = json.loads(body)
    for text, found in zip(request.texts, answer.get("predictions", [answer]), strict=True):
        wanted = known[text]
        apart = max(abs(found["probabilities"][name] - value) for name, value in wanted.probabilities.items())
        side.furthest = max(side.furthest, apart)
        if apart > APART or (found["label"] != wanted.label and wanted.probability > 0.5 + APART):  # type: ignore[operator]
            side.wrong.append(f"{request.kind}: {apart:.1e} apart on {text[:40]!r}")


async def stopped_midway(
    side: Side, requests: list[Request], known: dict[str, Prediction], concurrency: int, after: int
) -> dict[str, int]:
    """Send SIGTERM after so many answers; what became of the requests that were sent from then on."""
    ends: Counter[str] = Counter()
    waiting, told = list(reversed(requests)), asyncio.Event()

    async def client() -> None:
        connection = Connection(side.url)
        while waiting:
            request = waiting.pop()
            try:
                status, body = await connection.ask(request.content)
            except Lost:
                ends["lost"] += 1
                continue
            except OSError:
                ends["found nobody"] += 1
                return
            check(side, request, status, body, known)
            ends["answered"] += 1
            side.asked += 1
            if side.asked >= after and not told.is_set():
                told.set()
                side.process.send_signal(signal.SIGTERM)
        connection.close()

    await asyncio.gather(*(client() for _ in range(concurrency)))
    last = json.loads(side.log.read_text().splitlines()[-1]) if side.process.wait(60) == 0 else {"event": "no end"}
    if last["event"] != "stopped" or last["accepted"] != last["answered"]:
        ends["wrong"] += 1
    ends["lost"] += 0
    ends["wrong"] += len(side.wrong)
    return dict(ends)


@dataclass(frozen=True)
class Measured:
    """Both sides, what became of requests when a service was stopped, and the load they were under."""

    sides: tuple[Side, Side]
    processor_seconds: tuple[float, float]
    stopped: dict[str, int]

    def faults(self, settled: int) -> list[str]:
        """Everything that should not have been."""
        found = [f"{side.name}: {one}" for side in self.sides for one in side.wrong]
        found += [
            f"{side.name}: memory grew by {side.growth_bytes(settled):,} bytes after request {settled:,}"
            for side in self.sides
            if side.growth_bytes(settled) > GROWTH_BYTES
        ]
        return found + [f"stopped: {n} {name}" for name, n in self.stopped.items() if n and name in ("lost", "wrong")]


def measure(run: Path, texts: list[str], requests: int, concurrency: int, block: int = BLOCK) -> Measured:
    """Load both services in turns, then stop a third one under load."""
    predictor = load(run)
    unique = list(dict.fromkeys(texts))
    known = {text: predictor.predict([text])[0] for text in unique}
    asked = drawn(requests, unique, seed=0)
    with tempfile.TemporaryDirectory(prefix="serving-") as place:
        folder = Path(place)
        with service("batches", run, folder) as one, service("one at a time", run, folder, "--batch-rows", "1") as two:
            spent = [0.0, 0.0]
            for start in range(0, len(asked), block):
                turn = [(0, one), (1, two)] if (start // block) % 2 == 0 else [(1, two), (0, one)]
                for number, side in turn:
                    before = side.processor_seconds()
                    asyncio.run(load_block(side, asked[start : start + block], known, concurrency))
                    spent[number] += side.processor_seconds() - before
                    side.sample()
        with service("stopped", run, folder) as third:
            stopped = asyncio.run(stopped_midway(third, asked, known, concurrency, after=min(1000, requests // 3)))
    return Measured((one, two), (spent[0], spent[1]), stopped)


def told(measured: Measured, run: Path, requests: int, concurrency: int, settled: int) -> str:
    """The result as markdown."""
    lines = ["| service | p50 | p95 | p99 | processor ms a request | largest difference | memory | growth after |"]
    lines += ["|---|---|---|---|---|---|---|---|"]
    for side, spent in zip(measured.sides, measured.processor_seconds, strict=True):
        cuts = statistics.quantiles(side.seconds, n=100)
        ms = " | ".join(f"{1000 * cuts[at - 1]:.1f} ms" for at in (50, 95, 99))
        held, grown = side.held_bytes[-1][1] / 2**20, side.growth_bytes(settled) / 2**20
        cost = 1000 * spent / side.asked
        lines.append(f"| {side.name} | {ms} | {cost:.2f} | {side.furthest:.0e} | {held:.0f} MiB | {grown:.1f} MiB |")
    statuses = ", ".join(f"{n:,} x {status}" for status, n in sorted(measured.sides[0].statuses.items()))
    ends = ", ".join(f"{n:,} {name}" for name, n in measured.stopped.items())
    machine = describe_machine()
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return "\n".join(
        [
            f"{requests:,} requests to each service of {run.name} at concurrency {concurrency}, every tenth malformed;",
            f"load average {os.getloadavg()[0]:.1f} on {machine['cores']} cores ({machine['processor']}); {versions}.",
            "",
            *lines,
            "",
            f"Answers of the first: {statuses}. Memory is compared with that after {settled:,} requests.",
            f"SIGTERM under load: {ends}.",
        ]
    )


def texts_of(path: Path, run: Path, most: int = 1000) -> list[str]:
    """The first texts of a data file or folder, through the run's schema."""
    rows: list[Any] = [row for table in read(path).values() for row in to_examples(table, load(run).schema)]
    return [row.text for row in rows[:most]]


def main() -> int:
    """Measure, print, write; 1 where anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("texts", type=Path)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--concurrency", type=int, default=32)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    settled = min(SETTLED, options.requests // 2)
    measured = measure(options.run, texts_of(options.texts, options.run), options.requests, options.concurrency)
    page = told(measured, options.run, options.requests, options.concurrency, settled)
    faults = measured.faults(settled)
    page += f"\n\n{'Nothing was wrong.' if not faults else f'{len(faults)} faults, such as: {faults[0]}'}\n"
    print(page, *faults[:20], sep="\n")
    if options.out is not None and not faults:
        title = f"# Under load: {datetime.date.today().isoformat()}\n\n"
        options.out.write_text(title + page, encoding="utf-8")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
