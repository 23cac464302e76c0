"""The interface: right answers, and for everything else one sentence."""

import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from attnkit.errors import UsageError
from attnkit.serve.feedback import Feedback
from attnkit.serve.models import open_models
from attnkit.serve.settings import Batching, Limits, Settings
from attnkit.train.predictor import load
from attnkit.train.shading import shading
from tests.serve.serving import Counting, Running, running

TEXT = "the film was lovely"


@pytest.fixture(scope="module")
def real(trained: Path) -> Iterator[Running]:
    with running(open_models([trained])) as served:
        yield served


@pytest.fixture
def counting() -> Iterator[Running]:
    with running(Counting(), Settings(Batching(4, 1), Limits(texts=5), drain_seconds=0)) as served:
        yield served


def fault(answer: Any, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"error"}
    sentence: str = answer.json()["error"]
    assert 20 < len(sentence) < 300 and "\n" not in sentence and "Traceback" not in sentence
    return sentence


def test_answers_are_those_of_the_predictor(real: Running, trained: Path) -> None:
    wanted = load(trained).predict([TEXT, "so very dull"])
    one = real.client.post("/predict", json={"text": TEXT}).json()
    assert (one["model"], one["label"], one["cut"]) == ("run", wanted[0].label, 0)
    assert one["probabilities"] == pytest.approx(wanted[0].probabilities, abs=1e-5)
    assert one["probability"] == max(one["probabilities"].values())
    both = real.client.post("/predict/batch", json={"texts": [TEXT, "so very dull"], "model": "run"}).json()
    assert [found["label"] for found in both["predictions"]] == [found.label for found in wanted]


def test_where_it_looked_is_what_the_shading_says(real: Running, trained: Path) -> None:
    looked = real.client.post("/attention", json={"text": TEXT}).json()
    wanted = shading(load(trained), TEXT)
    assert [(piece["text"], piece["weight"]) for piece in looked["pieces"]] == [
        (text, pytest.approx(weight, abs=1e-5)) for text, weight in wanted.pieces
    ]
    assert "".join(piece["text"] for piece in looked["pieces"]) == TEXT


def test_the_model_says_what_it_is(real: Running) -> None:
    told = real.client.get("/model").json()
    (model,) = told["models"]
    assert (model["name"], model["kind"], model["classes"], model["paired"]) == (
        "run",
        "single",
        ["bad", "good"],
        False,
    )
    assert model["parameters"] > 100 and model["limits"]["max_tokens"] > 5
    assert {"accuracy"} <= {one["name"] for one in model["figures"]["measures"]}
    assert told["limits"]["texts"] == 256 and told["batching"]["rows"] == 32 and told["feedback"] is False


BAD: dict[str, tuple[str, Any, str]] = {
    "no JSON": ("/predict", b'{"text": ', "not JSON"),
    "nothing": ("/predict", b"", "JSON object"),
    "a list": ("/predict", b'["a"]', "JSON object"),
    "a number": ("/predict", b'{"text": 3}', "text must be a string"),
    "null": ("/predict", b'{"text": null}', "text must be a string"),
    "no text": ("/predict", b"{}", "'text' is missing"),
    "another field": ("/predict", b'{"text": "a", "txt": "b"}', "no field 'txt'"),
    "no such model": ("/predict", b'{"text": "a", "model": "b"}', "there are counting"),
    "a pair": ("/predict", b'{"text": ["a", "b"]}', "reads single texts"),
    "three texts": ("/predict", b'{"text": ["a", "b", "c"]}', "text must be a string"),
    "half a character": ("/predict", b'{"text": "\\ud800"}', "whole characters"),
    "Latin-1": ("/predict", '{"text": "é"}'.encode("latin-1"), "UTF-8"),
    "binary": ("/predict", bytes(range(256)), "the body"),
    "deep": ("/predict", b"[" * 100_000, "cannot be read"),
    "a long number": ("/predict", b'{"text": ' + b"9" * 10_000 + b"}", "cannot be read"),
    "not a number": ("/predict", b'{"text": NaN}', "text must be a string"),
    "one is a number": ("/predict/batch", b'{"texts": ["a", 4]}', "text 2 must be a string"),
    "no texts": ("/predict/batch", b'{"texts": []}', "give at least one"),
    "one string": ("/predict/batch", b'{"texts": "a"}', "texts must be a list"),
    "a fault in the model": ("/attention", b'{"text": "crash"}', "something unforeseen"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_malformed_is_told_in_a_sentence(counting: Running, what: str) -> None:
    path, body, told = BAD[what]
    answer = counting.client.post(path, content=body, headers={"content-type": "application/json"})
    assert told in fault(answer, 500 if what == "a fault in the model" else 422)
    assert counting.client.post("/predict", json={"text": "a"}).json()["label"] == "odd", "and it goes on"


def test_other_ways_to_ask_wrongly(counting: Running) -> None:
    client = counting.client
    assert "JSON object" in fault(client.post("/predict", content=b'{"text": "a"}'), 422)
    assert "GET /docs" in fault(client.get("/nothing"), 404)
    assert "GET /docs" in fault(client.get("/predict"), 405)
    assert "6 texts" in fault(client.post("/predict/batch", json={"texts": ["a"] * 6}), 413)
    assert "not finite" in fault(client.post("/predict", json={"text": "fail"}), 500)
    secret = fault(client.post("/predict", json={"text": "crash"}), 500)
    assert "secret" not in secret


def test_a_model_of_pairs_takes_two_texts() -> None:
    with running(Counting(paired=True)) as served:
        assert served.client.post("/predict", json={"text": ["a b", "c"]}).json()["label"] == "odd"
        assert "text 2 is a single one" in fault(
            served.client.post("/predict/batch", json={"texts": [["a", "b"], "c"]}), 422
        )


def test_a_full_queue_and_a_time_out_are_told_with_what_to_do() -> None:
    model = Counting()
    settings = Settings(Batching(1, 0, queue_rows=1), Limits(seconds=0.5), drain_seconds=0)
    with running(model, settings) as served:
        late: list[Any] = []
        waits = threading.Thread(target=lambda: late.append(served.client.post("/predict", json={"text": "wait"})))
        waits.start()
        assert model.began.wait(30)
        queued = served.service.batcher.predict(model, ["a"])
        full = served.client.post("/predict", json={"text": "a"})
        assert "at most 1 may" in fault(full, 503) and full.headers["retry-after"] == "1"
        # Two would never fit, so asking again would not help.
        more = served.client.post("/predict/batch", json={"texts": ["a", "b"]})
        assert "2 texts are more than the 1 " in fault(more, 413)
        assert served.client.get("/model").json()["limits"]["texts"] == 1
        assert served.client.get("/health/ready").status_code == 503
        assert served.client.get("/health/live").status_code == 200
        waits.join(30)
        assert "within 0.5 s" in fault(late[0], 504)
        model.let_go.set()
        assert queued[0].result(30)
        assert served.client.get("/health").json() == {"live": True, "ready": True, "phase": "serving"}


def test_two_models_are_asked_by_name() -> None:
    with running({"one": Counting("one"), "two": Counting("two")}) as served:
        assert served.client.post("/predict", json={"text": "a"}).json()["model"] == "one"
        assert served.client.post("/predict", json={"text": "a", "model": "two"}).json()["model"] == "two"
        assert [one["name"] for one in served.client.get("/model").json()["models"]] == ["one", "two"]


FILES: dict[str, tuple[bytes, str]] = {
    "a.csv": (b'text,n\nlovely film,1\n"dull, dull",2\n', "text,n,prediction,probability\nlovely film,1,"),
    "a.tsv": (b"n\ttext\n1\tlovely film\n2\tdull\n", "n\ttext\tprediction\tprobability\n1\tlovely film\t"),
    "a.jsonl": (b'{"text": "lovely film"}\n{"text": "dull"}\n', '{"text": "lovely film", "prediction": "'),
    "a.json": (b'[{"text": "lovely film"}, {"text": "dull"}]', '[\n {\n  "text": "lovely film",\n  "prediction": "'),
    "a.txt": (b"lovely film\ndull\n", "lovely film\t"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_comes_back_with_predictions(real: Running, name: str) -> None:
    content, begins = FILES[name]
    answer = real.client.post("/predict/file", params={"name": name}, content=content)
    assert answer.status_code == 200, answer.text
    assert answer.text.startswith(begins)
    assert answer.headers["x-rows"] == "2"
    assert answer.headers["content-disposition"] == f'attachment; filename="a-predicted.{name[2:]}"'


def test_files_that_cannot_be_taken_are_told_why(trained: Path) -> None:
    settings = Settings(limits=Limits(file_rows=3, file_bytes=1024), drain_seconds=0)
    with running(open_models([trained]), settings) as served:

        def sent(content: bytes, **query: str) -> Any:
            return served.client.post("/predict/file", params=query, content=content)

        assert "must end in .csv" in fault(sent(b"PK", name="a.xlsx"), 422)
        assert "must end in .csv" in fault(sent(b"", name="a.csv.gz"), 422)
        assert "'name' is missing" in fault(sent(b""), 422)
        assert "no column 'text'" in fault(sent(b"a,b\n1,2\n", name="a.csv"), 422)
        assert "4 rows and at most 3" in fault(sent(b"text\na\nb\nc\nd\n", name="a.csv"), 422)
        assert "1,024 bytes" in fault(sent(b"a" * 2000, name="a.txt"), 413)
        assert "UTF-8" in fault(sent(b"\xff\xfe\xfa", name="a.txt"), 422)
        named = fault(sent(b"text\na,b,c\n", name="../../etc/a.csv"), 422)
        assert "the file" in named and "attnkit-" not in named and "etc" not in named
        hostile = sent(b"text\na\n", name='x"\r\nset-cookie: a=b;.csv', text="text", probabilities="true")
        assert hostile.headers["content-disposition"] == 'attachment; filename="x-set-cookie-a-b-predicted.csv"'
        assert hostile.text.startswith("text,prediction,probability,probability:bad,probability:good\n")


def test_what_people_say_is_right_is_appended(tmp_path: Path) -> None:
    path = tmp_path / "learn.jsonl"
    path.write_text('{"kept": true}\n')
    with running(Counting(), feedback=Feedback(path)) as served:
        told = {"text": "a\nb", "label": "odd", "prediction": "even"}
        assert served.client.post("/feedback", json=told).json() == {"noted": True}
        assert "none of the classes" in fault(served.client.post("/feedback", json={**told, "label": "blue"}), 422)
        assert "one of its classes" in fault(served.client.post("/feedback", json={**told, "label": ["odd"]}), 422)
        assert served.client.get("/model").json()["feedback"] is True
    first, line = path.read_text("utf-8").splitlines()
    assert first == '{"kept": true}'
    found = json.loads(line)
    assert found.pop("time") > 1e9
    assert found == {"model": "counting", **told}
    with pytest.raises(UsageError, match="cannot be written"):
        Feedback(tmp_path)


def test_without_a_file_for_it_nothing_can_be_fed_back(counting: Running) -> None:
    fault(counting.client.post("/feedback", json={"text": "a", "label": "odd"}), 404)


def test_the_interface_describes_itself_and_loads_nothing(counting: Running) -> None:
    document = counting.client.get("/openapi.json").json()
    assert {"/predict", "/predict/batch", "/attention", "/predict/file", "/health", "/metrics", "/model"} <= set(
        document["paths"]
    )
    assert set(document["paths"]["/predict"]["post"]["responses"]) == {"200", "401", "413", "422", "429", "503", "504"}
    for path in ("/docs", "/"):
        page = counting.client.get(path)
        assert page.headers["content-type"].startswith("text/html")
        assert not re.findall(r'(?:src|href)="(?:https?:)?//', page.text) and "@import" not in page.text
        policies = page.headers.get("content-security-policy", "") + page.text
        assert "default-src 'none'" in policies
    for path in document["paths"]:
        assert path in counting.client.get("/docs").text


def test_it_counts_what_it_did(counting: Running) -> None:
    counting.client.post("/predict/batch", json={"texts": ["a", "a b"]})
    counting.client.post("/predict", json={"text": 3})
    counting.client.get("/whatever/this/is")
    text = counting.client.get("/metrics").text
    assert 'attn_requests_total{path="/predict/batch",status="200"} 1.0' in text
    assert 'attn_requests_total{path="/predict",status="422"} 1.0' in text
    assert 'path="(other)",status="404"' in text and "whatever" not in text
    assert 'attn_predictions_total{label="odd",model="counting"} 1.0' in text
    assert "attn_queue_rows 0.0" in text and "process_resident_memory_bytes" in text
