"""Cells that follow facts: planted ones are found, and in noise nothing is."""

import numpy as np
import pytest

from util.page import facts
from util.page.findings import centered_ranks, find_cells, guesses, is_common, strengths

FACTS = facts.NUMBERS | facts.CONDITIONS


def prose(seed: int) -> list[str]:
    """Twelve passages of made-up sentences in lines of all lengths, some in quotation marks."""
    random = np.random.default_rng(seed)

    def sentence() -> str:
        words = ["".join(random.choice(list("abcdefgh"), random.integers(1, 9))) for _ in range(random.integers(3, 9))]
        text = " ".join(words).capitalize() + "."
        return (f'"{text}"' if random.random() < 0.3 else text) + random.choice(["\n", " "])

    return ["".join(sentence() for _ in range(60))[:800] for _ in range(12)]


def fact_in(passages: list[str], name: str) -> np.ndarray:
    return np.concatenate([FACTS[name](passage) for passage in passages]).astype(float)


def slow_auc(cell: np.ndarray, fact: np.ndarray) -> float:
    """The share of pairs, one with the fact and one without, of which the first is higher; ties count half."""
    yes, no = cell[fact == 1][:, None], cell[fact == 0][None]
    return float((yes > no).mean() + (yes == no).mean() / 2)


def slow_ranks(values: np.ndarray) -> np.ndarray:
    return np.array([(values < value).sum() + ((values == value).sum() + 1) / 2 for value in values])


def test_strengths_are_2_auc_minus_1_and_spearman_s_correlation():
    random = np.random.default_rng(1)
    cells = random.integers(0, 20, size=(150, 5)).astype(float)
    ranks = centered_ranks(cells)
    assert all(np.array_equal(found, slow_ranks(cell) - 75.5) for cell, found in zip(cells.T, ranks.T))
    event, number = random.integers(0, 2, 150), random.integers(0, 7, 150)
    aucs = [slow_auc(cell, event) for cell in cells.T]
    correlations = [np.corrcoef(slow_ranks(cell), slow_ranks(number))[0, 1] for cell in cells.T]
    assert strengths(ranks, event[:, None], False)[:, 0] == pytest.approx(2 * np.array(aucs) - 1, abs=1e-5)
    assert strengths(ranks, number[:, None], True)[:, 0] == pytest.approx(correlations, abs=1e-5)
    constant = np.ones((150, 1))  # what never changes has no strength
    assert not strengths(ranks, constant, True).any() and not strengths(ranks, constant, False).any()
    assert not strengths(centered_ranks(constant), number[:, None], True).any()


@pytest.mark.parametrize(("name", "sign"), [("characters since a sentence ended", -1), ("inside quotation marks", 1)])
def test_a_planted_cell_is_found(name, sign):
    passages, random = prose(2), np.random.default_rng(3)
    fact = fact_in(passages, name)
    cells = random.normal(size=(len(fact), 100))
    cells[:, 70] = sign * fact + random.normal(size=len(fact)) * fact.std() / 2
    finding = find_cells(passages, cells)[0]  # findings come first
    assert (finding.name, finding.found, finding.cell, finding.rises) == (name, True, 70, sign > 0)
    assert finding.base == pytest.approx(fact.mean())
    second = slice(len(fact) // 2, None)  # twelve passages of the same length: the cell was chosen on the first six
    if finding.is_number:
        expected = sign * np.corrcoef(slow_ranks(cells[second, 70]), slow_ranks(fact[second]))[0, 1]
    else:
        expected = 2 * slow_auc(sign * cells[second, 70], fact[second]) - 1
    assert 0.7 < finding.strength < 1 and 0 <= finding.chance < 0.2
    assert finding.strength == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("drift", [0, 0.999])
def test_noise_follows_nothing(drift):
    """However slowly it drifts, as facts do. Rare facts are left out, and one passage says nothing."""
    passages, random = prose(1), np.random.default_rng(11)
    passages[0] = "(9" + passages[0][2:]  # once is not often enough
    cells = random.normal(size=(sum(map(len, passages)), 60))
    for t in range(1, len(cells)):
        cells[t] += drift * cells[t - 1]
    findings = find_cells(passages, cells)
    rare = {"depth of brackets", "indentation of the line", "inside a comment", "inside a tag", "a digit"}
    rare |= {"characters since the paragraph began", "in a line that will end in a colon"}
    assert {finding.name for finding in findings} == FACTS.keys() - rare
    assert not any(finding.found for finding in findings)
    assert find_cells(passages[:1], cells[:800]) == [] == find_cells([], cells[:0])


def test_what_is_not_a_finding():
    """What the last character says already, and a cell that is good on one half only."""
    passages = prose(4)
    capital, column = fact_in(passages, "a capital"), fact_in(passages, "characters since the line began")
    cells, half = np.random.default_rng(5).normal(size=(len(capital), 20)), len(capital) // 2
    cells[:, 3] = capital
    cells[:half, 4] = column[:half]
    cells[:, 5] += 4 * fact_in(passages, "inside quotation marks")
    best, *others = find_cells(passages, cells)
    assert best.name == "inside quotation marks" and best.found and not any(finding.found for finding in others)
    assert others == sorted(others, key=lambda finding: -finding.strength)
    findings = {finding.name: finding for finding in others}
    finding = findings["a capital"]
    assert (finding.cell, finding.strength, finding.pair) == (3, pytest.approx(1), pytest.approx(1, abs=0.02))
    finding = findings["characters since the line began"]
    assert finding.cell == 4 and abs(finding.strength) < 0.1


def test_a_cell_of_the_fact_s_rhythm_is_no_finding():
    """One of many such cells is in step with the fact, but so is another one with the fact moved along the text."""
    passages = [passage[start : start + 100] for passage in prose(6) for start in range(0, 800, 100)]
    cells = (np.arange(9600)[:, None] + np.arange(0, 100, 5)) % 100
    findings = {finding.name: finding for finding in find_cells(passages, cells.astype(float))}
    finding = findings["characters since the paragraph began"]
    assert finding.strength > 0.95 and finding.chance > 0.9 and finding.pair < 0.5 and not finding.found


def test_a_guess_from_the_last_two_characters():
    pairs = ["\0a", "ab", "ba", "ab", "ba"]
    assert guesses(pairs, np.array([1.0, 0, 1, 1, 1]), ["ab", "ba", "xy"]).tolist() == [0.5, 1, 0.8]


def test_what_is_true_nearly_always_is_as_rare_as_what_never_is():
    values = np.zeros(4000)
    for count, spread, common in ((40, 100, True), (21, 100, True), (19, 100, False), (40, 1, False)):
        values[:] = 0
        values[1000 : 1000 + count * spread : spread] = 3  # a number that is not 0 counts as true
        assert is_common(values[:4000]) == is_common(1 - np.sign(values)) == common
    for runs in (7, 8):
        values = np.tile([0, 0, 5], runs)
        assert is_common(np.append(values, 0)) == (runs == 8)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("characters since the line began", "ab\ncd\n\ne", [0, 1, 0, 1, 2, 0, 0, 1]),
        ("characters since a sentence ended", "a. B! c", [0, 0, 1, 2, 0, 1, 2]),
        ("characters since the paragraph began", "a\nb\n\nc", [0, 1, 2, 3, 0, 1]),
        ("characters since the paragraph began", "a\n \tb\n \t\nc", [*range(8), 0, 1]),
        ("length of the word so far", "ab, c1d", [1, 2, 0, 0, 1, 0, 1]),
        ("depth of brackets", ")(a[b])c", [0, 1, 1, 2, 2, 1, 0, 0]),
        ("indentation of the line", "a\n  b\nc\n\td", [0, 0, 1, 2, 2, 0, 0, 0, 1, 1]),
        ("inside quotation marks", 'a "bc" d', [0, 0, 1, 1, 1, 0, 0, 0]),
        ("inside quotation marks", "“ab”c", [1, 1, 1, 0, 0]),
        ("inside quotation marks", 'a "b\n\nc', [0, 0, 1, 1, 0, 0, 0]),
        ("inside quotation marks", 'a "b\nc"d', [0, 0, 1, 1, 1, 1, 0, 0]),
        ("inside quotation marks", "«a»b「c」d", [1, 1, 0, 0, 1, 1, 0, 0]),
        ("inside a comment", "a /*b*/ c", [0, 0, 1, 1, 1, 1, 0, 0, 0]),
        ("inside a comment", "a // b\nc # y", [0, 0, 1, 1, 1, 1, 0, 0, 0, 1, 1, 1]),
        ("inside a comment", "a<!--\n-->b", [0, 1, 1, 1, 1, 1, 1, 1, 0, 0]),
        ("inside a comment", "a://b\n#c\nd# e", [0] * 13),
        ("inside a tag", "a <b>c</b>", [0, 0, 1, 1, 0, 0, 1, 1, 1, 0]),
        ("in a line that will end in a colon", "a\nB C:\nd", [0, 0, 1, 1, 1, 1, 0, 0]),
        ("in a word", "a 1é", [1, 0, 0, 1]),
        ("a capital", "aBÉ", [0, 1, 1]),
        ("a digit", "a1", [0, 1]),
        ("after punctuation", "a, b", [0, 1, 0, 0]),
        ("after punctuation", ".,;:!?。，；：！？、-", [1] * 13 + [0]),  # noqa: RUF001
    ],
)
def test_facts(name, text, expected):
    assert FACTS[name](text).tolist() == expected
