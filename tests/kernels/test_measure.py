"""The table of `attn kernels`: equality before time, medians with their spread, and answers that say what they mean."""

import json
from dataclasses import replace

import pytest
import torch

from attnkit.attention.pairwise import Pairwise
from attnkit.attention.pattern import Causal
from attnkit.attention.position import Alibi
from attnkit.kernels.measure.equality import differs
from attnkit.kernels.measure.memory import estimate, peak_bytes, side_called
from attnkit.kernels.measure.pairs import Ratio, measured
from attnkit.kernels.measure.question import Answer, Question, answers, kernel_of
from attnkit.kernels.measure.questions import asked, questions
from attnkit.kernels.measure.side import Shape, ours, sdpa
from attnkit.kernels.slabs import Slabs
from tests.verbs.calling import attn

SMALL = Shape(40, H=2, D=16, E=16)
ALIBI = Pairwise(position=Alibi(), pattern=Causal())


def test_every_question_is_about_a_kernel_that_the_plan_chooses_and_has_a_promise() -> None:
    chosen = {kernel_of(question.ours, question.gradients) for question in questions()}
    assert {"sdpa", "slabs", "rows", "banded", "lengths"} <= chosen
    assert "reference" not in chosen
    assert all(question.native is not None or question.pure is not None for question in questions())


@pytest.mark.parametrize("question", questions(), ids=lambda q: f"{q.name}, {q.passes}, {q.ours.shape}")
def test_every_question_is_right_on_few_tokens_before_it_is_timed(question: Question) -> None:
    side = question.ours.at_most(96)
    assert differs(side, kernel_of(question.ours, question.gradients), question.gradients) is None


def test_a_wrong_kernel_is_found_and_never_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    right = Slabs.run
    monkeypatch.setattr(Slabs, "run", lambda kernel, spec, call: right(kernel, spec, call) * 1.001)
    question = Question("wrong", ours(ALIBI, SMALL, kernel="slabs"), sdpa(SMALL), True, pure=1.0)
    assert differs(question.ours, "slabs", False) is not None
    monkeypatch.setattr("attnkit.kernels.measure.question.kernel_of", lambda side, gradients: "slabs")
    monkeypatch.setattr("attnkit.kernels.measure.question.measured", lambda *given: pytest.fail("it was timed"))
    (answer,) = answers(question, 5, 1.0)
    assert answer.ratio is None and answer.kept is False
    assert "the output errs by" in answer.row()[5]


def test_a_wrong_gradient_is_found_too(monkeypatch: pytest.MonkeyPatch) -> None:
    right = Slabs.run

    def wrong(kernel, spec, call):  # type: ignore[no-untyped-def]
        call.k_BGSD.register_hook(lambda grad: grad * 1.01)
        return right(kernel, spec, call)

    monkeypatch.setattr(Slabs, "run", wrong)
    assert "gradient" in str(differs(ours(ALIBI, SMALL), "slabs", True))


def test_pairs_take_turns_and_give_the_median_with_its_notch() -> None:
    order: list[str] = []
    ratio = measured(lambda: order.append("a"), lambda: order.append("b"), 6)
    assert order == ["a", "b"] + ["a", "b", "b", "a"] * 3
    assert ratio.pairs == 6 and ratio.median > 0
    assert Ratio(0.5, 0.01, 9, 0.4, 1.0).faster() == Ratio(2.0, 0.04, 9, 2.5, 1.0)


def test_a_promise_is_kept_or_broken_at_the_full_shape_alone() -> None:
    question = Question("t", ours(ALIBI, SMALL), sdpa(SMALL), True, pure=1.5)
    slow = Answer(question, SMALL, False, "slabs", Ratio(1.6, 0.05, 9, 1.6, 1.0))
    assert slow.kept is False and slow.row()[-1] == "NO"
    spread = replace(slow, ratio=Ratio(1.6, 0.2, 9, 1.6, 1.0))
    assert spread.kept is None and spread.row()[-1] == "unsure"
    assert replace(slow, shape=Shape(8)).kept is None
    assert replace(slow, question=replace(question, sooner=True)).kept is True
    assert replace(slow, question=replace(question, pure=None)).kept is None


def test_memory_is_measured_in_a_process_of_its_own_and_near_what_the_plan_said() -> None:
    found = peak_bytes("soft-cap", 1024, True, heads=4)
    if found is None:
        pytest.skip("the kernel of this system does not count the peak of a process")
    said = estimate(side_called("soft-cap", 1024, 4), True)
    assert 0.3 < said / found < 3.0
    with pytest.raises(RuntimeError, match="there is no question and no catalogue line"):
        peak_bytes("nothing of the kind", 8, False)


def test_attn_kernels_prints_its_table(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = torch.get_num_threads()
    short = [Question("causal ALiBi", ours(ALIBI, SMALL), sdpa(SMALL), True, pure=1e9)]
    monkeypatch.setattr("attnkit.kernels.measure.questions.questions", lambda: short)
    done = attn("kernels", "alibi")
    torch.set_num_threads(threads)
    assert done.code == 0, done.err
    assert "causal ALiBi (of SDPA)" in done.out and "≤ 1e+09" in done.out
    (told,) = json.loads(attn("kernels", "--json").out)
    assert told["fault"] is None and told["ratio"] > 0
    assert "there are causal ALiBi" in attn("kernels", "windows").fault


def test_a_shortened_table_asks_each_name_and_pass_once() -> None:
    short = asked((), full=False)
    assert len({(one.name, one.gradients) for one in short}) == len(short) < len(questions())
    assert {one.name for one in asked(("ALIBI", "cosine"), full=True)} == {"causal ALiBi", "symmetric ALiBi", "cosine"}
