"""The bench of services in small: no crash, no wrong answer, and nothing lost when told to stop."""

from pathlib import Path

from benches import serving
from tests.verbs.calling import review_rows

REQUESTS = 300


def test_a_service_under_load_answers_rightly_and_stops_without_losing_anything(trained: Path) -> None:
    texts = [text for text, _ in review_rows(40, seed=3)]
    found = serving.measure(trained, texts, REQUESTS, concurrency=8, block=100)
    assert found.faults(REQUESTS) == []
    assert all(side.statuses[200] == REQUESTS * 9 // 10 for side in found.sides)
    assert found.stopped["answered"] > 90 and found.stopped["lost"] == 0


def test_the_bench_sees_a_wrong_answer(trained: Path) -> None:
    known = serving.load(trained).predict(["a lovely film"])[0]
    side = serving.Side("x", None, "", Path())  # type: ignore[arg-type]
    right = serving.http("/predict", b"")
    request = serving.Request("/predict", right, ("a lovely film",))
    body = {"label": known.label, "probabilities": {name: p + 2e-5 for name, p in known.probabilities.items()}}
    serving.check(side, request, 200, serving.json.dumps(body).encode(), {"a lovely film": known})
    serving.check(side, request, 500, b"", {})
    assert len(side.wrong) == 2 and "apart" in side.wrong[0] and "500" in side.wrong[1]
