"""attn see, heads, explain and diff: on a run, on a file of a capture, and refused in one sentence."""

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from attnkit.capture import load_capture
from attnkit.see.live import Live, server
from attnkit.see.opening import open_looker
from tests.verbs.calling import Ended, attn, listing, review_csv, small_train

TEXT = "the film was lovely"
OTHER = "the plot was awful and dark"


@pytest.fixture(scope="module")
def transformer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with reviews.csv and the run `run`, a transformer of two layers and two heads."""
    folder = tmp_path_factory.mktemp("transformer")
    data = folder / "reviews.csv"
    data.write_text(review_csv(), encoding="utf-8")
    settings = ["--set", "encoder=transformer", "--set", "layers=2", "--set", "heads=2"]
    ended = small_train(data, "--out", folder / "run", *settings)
    assert ended.code == 0, ended.err
    return folder


def document(ended: Ended) -> dict[str, object]:
    assert ended.code == 0, ended.err
    return json.loads(ended.out)  # type: ignore[no-any-return]


def test_see_tells_the_heads_their_check_and_the_answer(transformer: Path) -> None:
    ended = attn("see", transformer / "run", "--text", TEXT, "--text", OTHER)
    assert ended.code == 0, ended.err
    assert "encoder.layers.0.attention" in ended.out and "summary.pooling" in ended.out
    assert "checked against the kernel" in " ".join(ended.out.split())
    assert "text 1: " in ended.out and "text 2: " in ended.out


def test_see_in_json_has_every_layer_with_a_small_error(transformer: Path) -> None:
    found = document(attn("see", transformer / "run", "--text", TEXT, "--json"))
    layers = found["layers"]
    assert isinstance(layers, list)
    assert [layer["name"] for layer in layers][:2] == ["encoder.layers.0.attention", "encoder.layers.1.attention"]
    for layer in layers:
        assert layer["check"]["error"] < 1e-5 and layer["check"]["rows"] >= 1
        assert layer["means"]["total"] == pytest.approx([1.0] * layer["heads"], abs=1e-5)
    assert layers[0]["roles"] and layers[-1]["kind"] == "pooling"


def test_see_writes_page_file_and_figures_and_leaves_the_run_as_it_was(transformer: Path, here: Path) -> None:
    before = listing(transformer / "run")
    outs = [f"seen{ending}" for ending in (".html", ".attn", ".png", ".svg", ".pdf")]
    ended = attn("see", transformer / "run", "--text", TEXT, *(word for out in outs for word in ("--out", out)))
    assert ended.code == 0, ended.err
    assert sorted(path.name for path in here.iterdir()) == sorted(outs)
    assert listing(transformer / "run") == before
    page = (here / "seen.html").read_text("utf-8")
    assert page.startswith("<!doctype html>") and "http" not in page.replace("http-equiv", "")
    (tokens,) = load_capture("seen.attn").streams["text"]
    # The rest is padding.
    assert tokens[:4] == TEXT.split() and not any(tokens[4:])
    again = attn("see", "seen.attn")
    assert again.code == 0 and "encoder.layers.0.attention" in again.out
    drawn = attn("see", "seen.attn", "--out", "head.png", "--layer", "encoder.layers.1.attention", "--head", "1")
    assert drawn.code == 0, drawn.err
    assert (here / "head.png").read_bytes().startswith(b"\x89PNG")


def test_see_reads_the_first_rows_of_a_file(transformer: Path) -> None:
    found = document(attn("see", transformer / "run", "--data", transformer / "reviews.csv", "--rows", "3", "--json"))
    notes = found["notes"]
    assert isinstance(notes, list)
    assert sum(", labeled " in note for note in notes) == 3


def test_a_layer_is_kept_at_the_level_asked_for(transformer: Path, here: Path) -> None:
    for level, maps, seen in (("stats", False, False), ("maps", True, False), ("full", True, True)):
        path = here / f"{level}.attn"
        assert attn("see", transformer / "run", "--text", TEXT, "--level", level, "--out", path).code == 0
        layer = load_capture(path).layers[0]
        assert (layer.pooled is not None, layer.seen is not None) == (maps, seen)


def test_heads_names_roles_and_silences_heads(transformer: Path) -> None:
    data = transformer / "reviews.csv"
    found = document(attn("heads", transformer / "run", "--data", data, "--rows", "6", "--ablate", "--json"))
    heads, ablation = found["heads"], found["ablation"]
    assert isinstance(heads, list) and isinstance(ablation, list)
    assert {(row["layer"], row["head"]) for row in heads} >= {("encoder.layers.0.attention", 1)}
    assert len(ablation) == 5 and all(one["texts"] == 6 for one in ablation)
    assert attn("heads", transformer / "run", "--data", data).code == 0


def test_explain_gives_a_verdict_on_each_method(transformer: Path, here: Path) -> None:
    words = ["--text", TEXT, "--text", OTHER, "--method", "occlusion", "--method", "random"]
    found = document(attn("explain", transformer / "run", *words, "--json", "--out", "why.html"))
    verdicts = found["verdicts"]
    assert isinstance(verdicts, dict)
    assert set(verdicts) == {"occlusion", "random"} and all(one["sentence"] for one in verdicts.values())
    assert (here / "why.html").is_file()
    shown = attn("explain", transformer / "run", *words)
    assert shown.code == 0 and "By occlusion:" in shown.out


def test_diff_is_nothing_on_the_same_and_something_on_another(transformer: Path, trained: Path, here: Path) -> None:
    run, data = transformer / "run", transformer / "reviews.csv"
    same = document(attn("diff", run, run, "--data", data, "--null", run, "--json"))
    heads = same["heads"]
    assert isinstance(heads, list)
    assert all(one["divergence"] == pytest.approx(0.0, abs=1e-9) for one in heads)
    other = small_train(data, "--out", "other", "--set", "encoder=transformer", "--set", "layers=2", "--seed", "1")
    assert other.code == 0, other.err
    ended = attn("diff", run, "other", "--text", TEXT)
    assert ended.code == 0 and "No null was given" in ended.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("see", "RUN"), "there is no text to look at"),
        (("see", "RUN", "--text", "a", "--data", "reviews.csv"), "cannot be given together"),
        (("see", "RUN", "--text", "a", "--out", "seen.gif"), "no ending that says what to write"),
        (("see", "RUN", "--text", "a", "--out", "no/such/seen.html"), "there is no folder"),
        (("see", "RUN", "--text", "a", "--out", "x.png", "--layer", "encoder.layer"), "encoder.layers.0.attention"),
        (("see", "RUN", "--text", "a", "--out", "x.png", "--statistic", "entropie"), "entropy"),
        (("see", "RUN", "--text", "a", "--statistic", "entropie"), "entropy"),
        (("see", "RUN", "--text", "a", "--layer", "encoder.layer"), "encoder.layers.0.attention"),
        (("see", "RUN", "--text", "a", "--layer", "summary.pooling", "--head", "7"), "head"),
        (("see", "RUN", "--text", "a", "--generate", "4"), "leave --generate out"),
        (("see", "RUN", "--text", "a", "--out", "x.html", "--layer", "nope"), "encoder.layers.0.attention"),
        (("see", "RUN", "--text", "a", "--out", "x.attn", "--statistic", "bogus"), "entropy"),
        (("see", "RUN", "--text", "a", "--head", "1"), "say which with --layer"),
        (("see", "RUN", "--text", "a", "--rows", "2"), "--rows counts rows of --data"),
        (("see", "RUN", "--text", "a", "--port", "80"), "--port is that of --live"),
        (("see", "RUN", "--text", "a", "--budget", "1MB"), "--budget bounds a page"),
        (("see", "RUN", "--text", "a", "--live", "--out", "x.html"), "--out does nothing with --live"),
        (("see", "RUN", "--text", "a", "--live", "--json"), "--json does nothing with --live"),
        (("see", "RUN", "--text", "a", "--text", "b", "--live"), "begins with one text and got 2"),
        (("see", "broken.attn", "--level", "full"), "leave --level out"),
        (("see", "RUN", "--text", "a", "--out", "x.html", "--budget", "2 apples"), "a size is a number of bytes"),
        (("see", "RUN", "--text", "a", "--out", "x.html", "--budget", "10KB"), "budget"),
        (("see", "nowhere", "--text", "a"), "there is nothing at nowhere"),
        (("see", "reviews.csv", "--text", "a"), "neither a run nor a model"),
        (("see", "no.attn"), "no.attn"),
        (("see", "broken.attn"), "broken.attn"),
        (("see", "RUN", "--data", "reviews.csv", "--rows", "0"), "--rows must be at least 1"),
        (("heads", "broken.attn", "--ablate"), "holds no model"),
        (("explain", "RUN", "--text", "a", "--method", "oclusion"), "there is no method 'oclusion'"),
        (("diff", "RUN", "broken.attn", "--text", "a"), "models alone, or .attn files alone"),
    ],
)
def test_wrong_use_is_one_sentence_and_writes_nothing(
    words: tuple[str, ...], said: str, transformer: Path, here: Path
) -> None:
    (here / "broken.attn").write_bytes(b"PK\x03\x04 no archive")
    (here / "reviews.csv").write_text(review_csv(4), encoding="utf-8")
    before = listing(here)
    ended = attn(*(transformer / "run" if word == "RUN" else word for word in words))
    assert said.lower() in ended.fault.lower()
    assert listing(here) == before


def test_a_file_that_stands_there_is_left_alone_without_force(transformer: Path, here: Path) -> None:
    (here / "page.html").write_text("mine", encoding="utf-8")
    assert "already exists" in attn("see", transformer / "run", "--text", TEXT, "--out", "page.html").fault
    assert (here / "page.html").read_text("utf-8") == "mine"
    assert attn("see", transformer / "run", "--text", TEXT, "--out", "page.html", "--force").code == 0


@pytest.fixture
def live(transformer: Path) -> Iterator[tuple[Live, str]]:
    """A page being served, and its address."""
    one = Live(open_looker(transformer / "run"), TEXT, 1_500_000)
    with server(one, 0) as listening:
        thread = threading.Thread(target=listening.serve_forever)
        thread.start()
        try:
            yield one, f"http://127.0.0.1:{listening.server_port}"
        finally:
            listening.shutdown()
            thread.join()


def fetched(address: str, body: bytes | None = None, host: str | None = None) -> tuple[int, str]:
    request = urllib.request.Request(address, data=body, headers={} if host is None else {"Host": host})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read().decode("utf-8")
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode("utf-8")


def test_the_live_page_looks_again_at_another_text(live: tuple[Live, str]) -> None:
    one, address = live
    status, frame = fetched(f"{address}/?key={one.key}")
    assert status == 200 and TEXT in frame
    before = fetched(f"{address}/seen?key={one.key}")[1]
    assert fetched(f"{address}/seen?key={one.key}", OTHER.encode()) == (200, "seen")
    after = fetched(f"{address}/seen?key={one.key}")[1]
    assert before != after and one.text == OTHER
    assert OTHER in fetched(f"{address}/?key={one.key}")[1]


def test_the_live_page_answers_nobody_without_its_key_or_under_another_name(live: tuple[Live, str]) -> None:
    one, address = live
    assert fetched(f"{address}/")[0] == 403
    assert fetched(f"{address}/?key=guess")[0] == 403
    assert fetched(f"{address}/?key={one.key}", host="evil.example")[0] == 403
    assert fetched(f"{address}/seen", OTHER.encode())[0] == 403
    assert fetched(f"{address}/else?key={one.key}")[0] == 404


def test_markup_in_a_live_text_is_text(live: tuple[Live, str]) -> None:
    one, address = live
    assert fetched(f"{address}/seen?key={one.key}", b"</textarea><script>alert(1)</script> film")[0] == 200
    assert "<script>alert(1)" not in fetched(f"{address}/?key={one.key}")[1]
