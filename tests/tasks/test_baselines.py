"""Baselines on sets small enough to count by hand."""

import math
import warnings
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from attnkit.data.examples import Example
from attnkit.errors import UsageError
from attnkit.model.baselines import Majority, Mean, NbSvm, TfidfLogistic, TfidfRidge, log_count_ratio, run_baselines
from attnkit.model.baselines.ngrams import SEPARATOR, joined, ngrams
from attnkit.model.baselines.targets import rate_logits
from attnkit.task import Measure, MultiLabel, Score, SingleLabel

TEXTS = ["good film", "good", "bad film"]
POSITIVE = np.array([1, 1, 0])


def test_tokens_are_words_marks_and_single_chinese_characters_with_their_pairs() -> None:
    assert ngrams("It's a GOOD_film!") == (
        ["it's", "a", "good", "_", "film", "!", "it's a", "a good", "good _", "_ film", "film !"]
    )
    assert ngrams("很好USB线") == ["很", "好", "usb", "线", "很 好", "好 usb", "usb 线"]
    assert ngrams("ねこ") == ["ね", "こ", "ね こ"]
    assert ngrams("  ") == []
    assert ngrams("don’t '90s") == ["don’t", "'", "90s", "don’t '", "' 90s"]


def test_pairs_are_joined_around_a_token_of_its_own() -> None:
    assert joined([("a b", "c"), ("d", None)]) == [f"a b {SEPARATOR} c", "d"]
    assert ngrams(joined([("a", "b")])[0]) == ["a", SEPARATOR, "b", f"a {SEPARATOR}", f"{SEPARATOR} b"]


def test_the_log_count_ratio_is_the_one_counted_by_hand() -> None:
    # columns: bad, bad film, film, good, good film; counts with alpha = 1, p sums to 9 and q to 8
    present = csr_matrix(np.array([[0, 0, 1, 1, 1], [0, 0, 0, 1, 0], [1, 1, 1, 0, 0]], dtype=float))
    p, q = [1, 1, 2, 3, 2], [2, 2, 2, 1, 1]
    expected = [math.log((a / 9) / (b / 8)) for a, b in zip(p, q, strict=True)]
    assert log_count_ratio(present, POSITIVE == 1) == pytest.approx(expected)
    p, q = [0.5, 0.5, 1.5, 2.5, 1.5], [1.5, 1.5, 1.5, 0.5, 0.5]
    expected = [math.log((a / 6.5) / (b / 5.5)) for a, b in zip(p, q, strict=True)]
    assert log_count_ratio(present, POSITIVE == 1, alpha=0.5) == pytest.approx(expected)


def hand_ratio() -> dict[str, float]:
    p = {"bad": 1, "bad film": 1, "film": 2, "good": 3, "good film": 2}
    q = {"bad": 2, "bad film": 2, "film": 2, "good": 1, "good film": 1}
    return {gram: math.log((p[gram] / 9) / (q[gram] / 8)) for gram in p}


def hand_machine() -> tuple[LinearSVC, np.ndarray, list[str]]:
    ratio = hand_ratio()
    grams = sorted(ratio)
    features = np.array([[ratio[gram] * (gram in ngrams(text)) for gram in grams] for text in TEXTS])
    return LinearSVC(C=1.0, random_state=0, max_iter=10_000).fit(features, POSITIVE == 1), features, grams


def margin(beta: float, texts: list[str]) -> np.ndarray:
    logits = NbSvm(beta=beta).fit(TEXTS, POSITIVE, 2).logits(texts)
    return logits[:, 1] - logits[:, 0]


def test_nb_svm_is_naive_bayes_at_beta_0_the_machine_at_beta_1_and_between_them_at_one_quarter() -> None:
    machine, features, _ = hand_machine()
    ratio = hand_ratio()
    naive = [sum(ratio[gram] for gram in set(ngrams(text))) + math.log(2 / 1) for text in TEXTS]
    assert margin(0.0, TEXTS) == pytest.approx(np.abs(machine.coef_).mean() * np.array(naive), abs=1e-4)
    assert margin(1.0, TEXTS) == pytest.approx(machine.decision_function(features), abs=1e-4)
    between = 0.75 * margin(0.0, TEXTS) + 0.25 * margin(1.0, TEXTS)
    assert NbSvm().beta == 0.25
    assert margin(0.25, TEXTS) == pytest.approx(between)


def test_nb_svm_counts_presence_and_skips_what_it_never_saw() -> None:
    assert margin(0.25, ["good film film unseen"]) == pytest.approx(margin(0.25, ["good film"]))


def test_nb_svm_takes_several_classes_one_against_the_rest() -> None:
    texts, classes = ["red apple", "red", "blue sky", "blue", "green leaf", "green"], np.array([0, 0, 1, 1, 2, 2])
    fitted = NbSvm().fit(texts, classes, 4)
    logits = fitted.logits(["red", "blue", "green", "green"])
    assert logits.argmax(1).tolist() == [0, 1, 2, 2]
    second = NbSvm().fit(texts, (classes == 1).astype(int), 2).logits(["red", "blue"])
    assert logits[:2, 1] == pytest.approx(second[:, 1] - second[:, 0])
    # the fourth class has no row: (0 + 1) / (6 + 2) smoothed
    assert logits[:, 3] == pytest.approx(np.full(4, math.log(1 / 7)))


def test_majority_gives_smoothed_rates() -> None:
    logits = Majority().fit(["x"] * 4, np.array([1, 1, 1, 0]), 3).logits(["y", "z"])
    assert np.exp(logits) == pytest.approx(np.array([[2 / 7, 4 / 7, 1 / 7]] * 2))
    columns = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 1.0]])
    labels = Majority().fit(["x"] * 3, columns, 2).logits(["y"])
    assert 1 / (1 + np.exp(-labels)) == pytest.approx(np.array([[4 / 5, 2 / 5]]))
    assert np.isfinite(rate_logits(np.ones((3, 1), dtype=bool), exclusive=False)).all()


def test_mean_gives_the_mean() -> None:
    assert Mean().fit(["x"] * 3, np.array([1.0, 2.0, 6.0]), 1).logits(["y", "z"]).tolist() == [[3.0], [3.0]]


def hand_tfidf(texts: list[str], grams: list[str]) -> np.ndarray:
    """Give (1 + ln count) * (1 + ln((1 + n) / (1 + df))) with rows of length one."""
    bags = [ngrams(text) for text in TEXTS]
    rows = []
    for text in texts:
        bag = ngrams(text)
        row = [
            (1 + math.log(bag.count(gram))) * (1 + math.log((1 + len(bags)) / (1 + sum(gram in b for b in bags))))
            if gram in bag
            else 0.0
            for gram in grams
        ]
        rows.append([value / math.hypot(*row) for value in row])
    return np.array(rows)


def test_tfidf_logistic_is_logistic_regression_on_the_weights_counted_by_hand() -> None:
    grams, asked = sorted(hand_ratio()), ["good good film", "bad", "film"]
    model = LogisticRegression(C=10.0, max_iter=1000).fit(hand_tfidf(TEXTS, grams), POSITIVE)
    logits = TfidfLogistic().fit(TEXTS, POSITIVE, 2).logits(asked)
    assert logits == pytest.approx(model.predict_log_proba(hand_tfidf(asked, grams)), abs=1e-3)


def test_tfidf_ridge_is_the_closed_form() -> None:
    grams, asked = sorted(hand_ratio()), ["good good film", "bad"]
    x, y = hand_tfidf(TEXTS, grams), np.array([1.0, 3.0, -2.0])
    centered = x - x.mean(0)
    weights = np.linalg.solve(centered.T @ centered + np.eye(x.shape[1]), centered.T @ (y - y.mean()))
    expected = (hand_tfidf(asked, grams) - x.mean(0)) @ weights + y.mean()
    logits = TfidfRidge().fit(TEXTS, y, 1).logits(asked)
    assert logits.shape == (2, 1)
    assert logits[:, 0] == pytest.approx(expected, abs=1e-3)


def test_tfidf_logistic_keeps_classes_it_never_saw_unlikely_and_finite() -> None:
    logits = TfidfLogistic().fit(TEXTS, np.array([2, 2, 0]), 4).logits(["good", "bad"])
    assert logits.argmax(1).tolist() == [2, 0]
    assert logits[:, [1, 3]].tolist() == [[-30.0, -30.0]] * 2
    only = TfidfLogistic().fit(TEXTS, np.array([1, 1, 1]), 2).logits(["good"])
    assert np.exp(only) == pytest.approx(np.array([[1 / 5, 4 / 5]]))


def test_tfidf_logistic_and_nb_svm_take_each_label_by_itself() -> None:
    columns = np.array([[1.0, 0, 1, 0], [1.0, 0, 1, 0], [0.0, 1, 1, 0]])
    for baseline in (TfidfLogistic(), NbSvm()):
        logits = baseline.fit(TEXTS, columns, 4).logits(["good", "bad"])
        assert (logits[0, :2] > 0).tolist() == [True, False]
        assert (logits[1, :2] > 0).tolist() == [False, True]
        # a label that every row or no row has keeps its smoothed rate: 4/5 and 1/5
        assert logits[:, 2] == pytest.approx(np.full(2, math.log(4)))
        assert logits[:, 3] == pytest.approx(np.full(2, math.log(1 / 4)))
    alone = TfidfLogistic().fit(TEXTS, POSITIVE, 2).logits(["good"])
    together = TfidfLogistic().fit(TEXTS, columns, 4).logits(["good"])
    assert together[0, 0] == pytest.approx(alone[0, 1] - alone[0, 0], abs=1e-3)


def examples(rows: list[tuple[str, object]], pair: str | None = None) -> list[Example]:
    return [Example(text, pair, label, "data.csv", n) for n, (text, label) in enumerate(rows, 1)]  # type: ignore[arg-type]


SINGLE = [("good film", "pos"), ("good", "pos"), ("bad film", "neg"), ("bad", "neg"), ("so good", "pos")]


def test_the_table_has_a_line_a_baseline_and_no_calibration_where_there_are_no_probabilities() -> None:
    results = run_baselines(examples(SINGLE), examples(SINGLE), SingleLabel(("neg", "pos")))
    assert [result.name for result in results] == ["majority", "tfidf_logistic", "nb_svm"]
    assert results[0].measures["accuracy"].value == pytest.approx(0.6)
    for result in results[1:]:
        assert result.measures["accuracy"].value == 1.0
        assert isinstance(result.measures["accuracy"], Measure)
        assert result.measures["accuracy"].n == 5
    assert ["calibration_error" in result.measures for result in results] == [True, True, False]
    assert all(result.seconds > 0 for result in results)


def test_a_baseline_that_did_not_converge_says_so_and_warns_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def one_step(self: TfidfLogistic, features: Any, targets: Any) -> LogisticRegression:
        return LogisticRegression(max_iter=1).fit(features, targets)

    rows, task = examples(SINGLE), SingleLabel(("neg", "pos"))
    assert [result.said for result in run_baselines(rows, rows, task)] == ["", "", ""]
    monkeypatch.setattr(TfidfLogistic, "_trained", one_step)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        said = [result.said for result in run_baselines(rows, rows, task)]
    assert said[0] == said[2] == "" and said[1].startswith("tfidf_logistic stopped before it converged")


def test_label_sets_and_scores_have_their_own_tables() -> None:
    rows = [("good film", ("g", "f")), ("good", ("g",)), ("film", ("f",)), ("bad", ()), ("good bad", ("g",))]
    results = run_baselines(examples(rows), examples(rows), MultiLabel(("f", "g")))
    assert [result.name for result in results] == ["majority", "tfidf_logistic", "nb_svm"]
    assert [result.measures["subset_accuracy"].value for result in results] == [0.4, 1.0, 1.0]
    scored = examples([("good", 3.0), ("good film", 4.0), ("bad film", -2.0), ("bad", -3.0)])
    mean, ridge = run_baselines(scored, scored, Score().fitted(scored))
    assert (mean.name, ridge.name) == ("mean", "tfidf_ridge")
    assert mean.measures["r2"].value == pytest.approx(0.0)
    assert mean.measures["pearson"].value == 0.0
    assert ridge.measures["pearson"].value > 0.95
    assert ridge.measures["rmse"].value < mean.measures["rmse"].value


def test_the_second_text_of_a_pair_is_read() -> None:
    train = [
        Example("word", second, label, "pairs.csv", n)
        for n, (second, label) in enumerate([("yes", "a"), ("no", "b")] * 3, 1)
    ]
    for result in run_baselines(train, train, SingleLabel(("a", "b")))[1:]:
        assert result.measures["accuracy"].value == 1.0


def test_intervals_come_from_the_generator_given() -> None:
    rows = examples(SINGLE * 5)
    task = SingleLabel(("neg", "pos"))
    first, again = (run_baselines(rows, rows, task, np.random.default_rng(4))[0] for _ in range(2))
    assert first.measures == again.measures
    assert first.measures != run_baselines(rows, rows, task, np.random.default_rng(5))[0].measures


def test_training_texts_without_a_word_are_refused() -> None:
    with pytest.raises(UsageError, match="None of the 2 training texts holds a word"):
        run_baselines(examples([(" ", "a"), ("", "b")]), examples([("x", "a")]), SingleLabel(("a", "b")))
