"""Who may ask, how often, how much and for how long; what is logged; and an end that loses nothing."""

import json
import logging
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from attnkit.errors import UsageError
from attnkit.serve.log import _AsJson
from attnkit.serve.rate import RateLimit
from attnkit.serve.server import is_local, listening, url_of
from attnkit.serve.service import Phase
from attnkit.serve.settings import Batching, Limits, Settings
from attnkit.serve.token import VARIABLE, carries, read_token
from tests.serve.serving import Counting, Running, running
from tests.serve.test_api import fault

TOKEN = "0123456789abcdef0123"


def test_with_a_token_nothing_is_answered_without_it() -> None:
    with running(Counting(), Settings(token=TOKEN, local=False, drain_seconds=0)) as served:
        asked: dict[str, Any] = {"json": {"text": "a"}, "headers": {"host": "models.example"}}
        refused = served.client.post("/predict", **asked)
        assert "Authorization: Bearer" in fault(refused, 401) and refused.headers["www-authenticate"] == "Bearer"
        for wrong in (TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer", f"Bearer {TOKEN[:-1]}", "Bearer é"):
            asked["headers"]["authorization"] = wrong.encode("utf-8")
            fault(served.client.post("/predict", **asked), 401)
        asked["headers"]["authorization"] = f"bearer {TOKEN}"
        assert served.client.post("/predict", **asked).status_code == 200
        for path in ("/model", "/metrics"):
            fault(served.client.get(path), 401)
        for path in ("/", "/docs", "/openapi.json", "/health", "/health/live", "/health/ready"):
            assert served.client.get(path).status_code == 200
        assert "Authorization: Bearer" in served.client.get("/docs").text


def test_a_token_is_read_from_a_file_or_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert read_token(None) is None
    monkeypatch.setenv(VARIABLE, f" {TOKEN}\n")
    assert read_token(None) == TOKEN
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}9\n")
    assert read_token(file) == f"{TOKEN}9", "the file is nearer than the environment"
    for content in (b"", b"short\n", b"two words and more of them", b"\xff" * 20, b"x" * 2000):
        file.write_bytes(content)
        with pytest.raises(UsageError, match="openssl rand|white space"):
            read_token(file)
    with pytest.raises(UsageError, match="cannot be read"):
        read_token(tmp_path / "none")
    assert carries(f"Bearer {TOKEN}", TOKEN) and not carries(None, TOKEN)


def test_without_a_token_only_this_machines_own_names_are_answered() -> None:
    with running(Counting()) as served:
        body = {"text": "a"}
        for host in ("localhost", "localhost:8000", "127.0.0.1:1", "[::1]:8000"):
            assert served.client.post("/predict", json=body, headers={"host": host}).status_code == 200
        for host in ("models.example", "127.0.0.1.evil.example", "localhost.evil.example:80", ""):
            fault(served.client.post("/predict", json=body, headers={"host": host}), 421)
        for origin in ("http://evil.example", "null", "http://localhost"):
            fault(served.client.post("/predict", json=body, headers={"origin": origin}), 403)
        own = served.url.rstrip("/")
        assert served.client.post("/predict", json=body, headers={"origin": own}).status_code == 200


def test_a_client_that_asks_too_often_is_told_when_to_come_back() -> None:
    with running(Counting(), Settings(limits=Limits(per_minute=12), drain_seconds=0)) as served:
        statuses = [served.client.post("/predict", json={"text": "a"}).status_code for _ in range(4)]
        assert statuses == [200, 200, 429, 429]
        refused = served.client.post("/predict", json={"text": "a"})
        assert "12 times a minute" in fault(refused, 429)
        assert 1 <= int(refused.headers["retry-after"]) <= 5
        assert served.client.get("/health").status_code == 200


def test_the_rate_is_kept_for_each_client_and_refills() -> None:
    now = 0.0
    limit = RateLimit(60, lambda: now)
    assert [limit.wait("10.0.0.1") for _ in range(11)] == [0] * 10 + [1]
    assert limit.wait("10.0.0.2") == 0
    assert limit.wait("2001:db8::1") == limit.wait("2001:db8::2") == 0
    now = 2.0
    assert [limit.wait("10.0.0.1") for _ in range(3)] == [0, 0, 1]
    for number in range(20_000):
        limit.wait(f"client {number}")
    assert len(limit._held) == 10_000
    assert RateLimit(0).wait("anybody") == 0


def test_a_body_that_is_too_large_is_refused_before_it_is_held() -> None:
    with running(Counting(), Settings(limits=Limits(body_bytes=2048, file_bytes=4096), drain_seconds=0)) as served:
        head = {"content-type": "application/json"}
        assert "2,048 bytes" in fault(served.client.post("/predict", content=b"a" * 1_000_000, headers=head), 413)

        def pieces() -> Any:
            for _ in range(50):
                yield b"a" * 100

        assert "2,048 bytes" in fault(served.client.post("/predict", content=pieces(), headers=head), 413)
        assert served.service.held_bytes == 0
        assert served.client.post("/predict", json={"text": "a " * 900}).status_code == 200


def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    with running(Counting(), Settings(limits=Limits(seconds=0.3), drain_seconds=0)) as served:
        answered = raw(served, b"POST /predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{")
        assert b" 408 " in answered and b"did not come within 0.3 s" in answered


def test_what_is_no_http_is_refused_and_the_service_goes_on() -> None:
    with running(Counting()) as served:
        for junk in (bytes(range(256)), b"GET\r\n\r\n", b"POST / HTTP/9.9\r\n\r\n", b"\x16\x03\x01" * 50):
            assert raw(served, junk)[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 421", b"")
        raw(served, b"GET /model HTTP/1.1\r\nHost: localhost\r\n", answer=False)
        assert served.client.post("/predict", json={"text": "a"}).status_code == 200
        assert served.service.in_flight == 0


def raw(served: Running, content: bytes, answer: bool = True) -> bytes:
    """What comes back for these bytes."""
    port = int(served.url.rstrip("/").rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as made:
        made.sendall(content)
        found = b""
        while answer:
            try:
                piece = made.recv(65_536)
            except ConnectionResetError:
                break
            found += piece
            if not piece or b"}" in found or b"400" in found:
                break
        return found


def test_the_log_is_json_without_a_text(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("attnkit.serve").propagate = True
    with caplog.at_level(logging.INFO, "attnkit.serve"), running(Counting()) as served:
        named = {"x-request-id": "mine-1"}
        assert (
            served.client.post("/predict", json={"text": "Zanzibar a b"}, headers=named).headers["x-request-id"]
            == "mine-1"
        )
        served.client.post("/predict", json={"text": "crash Zanzibar"}, headers={"x-request-id": "a b\t" + "c" * 200})
        served.client.post("/predict", content=b'{"text": "Zanzibar', headers={"content-type": "application/json"})
        served.client.get("/Zanzibar")
    lines = [json.loads(_AsJson().format(record)) for record in caplog.records if record.name == "attnkit.serve"]
    asked = [line for line in lines if line["event"] == "request"]
    assert [line["status"] for line in asked] == [200, 500, 422, 404]
    assert asked[0] | {"time": 0, "ms": 0, "id": "mine-1"} == {
        "time": 0, "level": "info", "event": "request", "id": "mine-1", "method": "POST", "path": "/predict",
        "status": 200, "ms": 0, "client": "127.0.0.1",
    }  # fmt: skip
    (failed,) = [line for line in lines if line["event"] == "failed"]
    assert failed["error"] == "RuntimeError" and failed["at"][-1].startswith("answer:")
    assert "Zanzibar" not in json.dumps(lines) and "secret" not in json.dumps(lines)


def test_told_to_stop_it_answers_whoever_had_connected() -> None:
    model = Counting()
    settings = Settings(Batching(2, 0), Limits(seconds=90), drain_seconds=2)
    with (
        running(model, settings) as served,
        ThreadPoolExecutor(12) as pool,
        httpx.Client(base_url=served.url, timeout=30) as connected,
    ):
        assert connected.get("/model").status_code == 200

        def ask(text: str) -> httpx.Response:
            return httpx.post(f"{served.url}predict", json={"text": text}, timeout=30)

        first = [pool.submit(ask, text) for text in ["wait"] + ["a b"] * 7]
        assert model.began.wait(30)
        until(lambda: served.service.in_flight == 8)
        served.stop()
        assert served.service.phase is Phase.DRAINING
        ready = served.client.get("/health/ready")
        assert ready.status_code == 503 and ready.json()["phase"] == "draining"
        during = pool.submit(ask, "a b c")
        until(lambda: served.service.phase is Phase.STOPPING)
        with pytest.raises(httpx.ConnectError):
            ask("too late")
        assert connected.get("/model").headers["connection"] == "close", "whoever had connected is answered"
        model.let_go.set()
        assert [one.result(30).json()["label"] for one in first] == ["odd"] + ["even"] * 7
        assert during.result(30).json()["label"] == "odd"
        assert during.result().headers["connection"] == "close"
    assert served.service.accepted == served.service.answered


def test_a_second_signal_ends_at_once() -> None:
    model = Counting()
    with running(model, Settings(Batching(1, 0), drain_seconds=60)) as served:
        began = time.monotonic()
        served.stop()
        served.stop()
    assert time.monotonic() - began < 30


def until(true: Any) -> None:
    for _ in range(6000):
        if true():
            return
        time.sleep(0.01)
    raise AssertionError("it did not come to be")


def test_addresses() -> None:
    assert is_local("127.0.0.1") and is_local("localhost") and not is_local("0.0.0.0") and not is_local("::")
    with listening("127.0.0.1", 0) as made:
        port = made.getsockname()[1]
        made.listen()
        assert url_of(made) == f"http://127.0.0.1:{port}/"
        with pytest.raises(UsageError, match=f"port {port} of 127.0.0.1 cannot be had"):
            listening("127.0.0.1", port)
    with pytest.raises(UsageError, match="0 to 65,535"):
        listening("127.0.0.1", 70_000)
    with pytest.raises(UsageError, match="is no address"):
        is_local("no such host")


def test_threads_end_with_the_service() -> None:
    with running(Counting()):
        assert "attnkit-compute" in {thread.name for thread in threading.enumerate()}
    assert "attnkit-compute" not in {thread.name for thread in threading.enumerate()}
