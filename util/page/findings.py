"""Finds the cells that follow facts about a text, and measures how well.

A cell is chosen on one half of the passages and scored on the other. Its score is compared with two others: that of
chance, and that of a guess from the last two characters alone.

A score is the area under the ROC curve (AUC) for a yes-or-no fact, and Spearman's correlation for a number. Inside,
both are a strength from -1 to 1: 2 AUC - 1, or the correlation. Either is a product of the cell's ranks with the fact.
Letters: T characters, C cells, K versions of a fact.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from util.page.facts import CONDITIONS, NUMBERS

SHIFTS = 24
"""How often chance is tried: a cell is chosen and scored in the same way, with the fact moved along the text."""
RARE, TIMES = 0.005, 8
"""In either half at least this fraction of characters must have a fact, and it must occur so often."""
MARGIN = 0.06  # by how much a strength must exceed chance and the last two characters to be a finding


@dataclass
class Finding:
    """A fact, the cell that follows it best, and how well."""

    name: str
    is_number: bool
    cell: int
    rises: bool  # whether the cell is high when the fact is true; if not, the AUC is that of the negated cell
    base: float  # the fraction of characters that have the fact, or its mean
    found: bool  # whether the cell knows more than chance and a guess from the last two characters
    score: float  # on the half that the cell was not chosen on: an AUC, or a correlation
    chance: float
    pair: float  # the score of that guess

    @property
    def strength(self) -> float:
        return abs(self.score) if self.is_number else 2 * self.score - 1


def find_cells(passages: Sequence[str], cells: np.ndarray) -> list[Finding]:
    """Returns the findings in passages, whose cells after each character are (T, C).

    The strongest come first, then the facts without a finding. Fewer than two passages have none.
    """
    if len(passages) < 2:
        return []
    ends = np.cumsum([len(passage) for passage in passages])
    middle = int(ends[np.abs(ends[:-1] - ends[-1] / 2).argmin()])
    halves = slice(0, middle), slice(middle, None)
    ranks = [centered_ranks(cells[half]) for half in halves]
    pairs = [pair for passage in passages for pair in zip("\0" + passage, passage)]
    findings = []
    for name, fact in (NUMBERS | CONDITIONS).items():
        values = np.concatenate([fact(passage) for passage in passages]).astype(np.float32)
        if all(is_common(values[half]) for half in halves):
            findings.append(find_cell(name, values, ranks, pairs, halves))
    return sorted(findings, key=lambda finding: (not finding.found, -finding.strength))


def find_cell(
    name: str,
    values: np.ndarray,
    ranks: Sequence[np.ndarray],
    pairs: list[tuple[str, str]],
    halves: tuple[slice, slice],
) -> Finding:
    """Chooses the cell that follows a fact, with these values (T,), on the first half, and scores it on the second.

    `ranks` are the cells' centered ranks in each half, `pairs` each character with the one before it.
    """
    is_number, (first, second) = name in NUMBERS, halves
    chosen_by = strengths(ranks[0], shifted(values[first]), is_number)
    scored_by = strengths(ranks[1], shifted(values[second]), is_number)
    best, versions = np.abs(chosen_by).argmax(axis=0), np.arange(1 + SHIFTS)
    signs = np.sign(chosen_by[best, versions])  # a cell that is low when the fact is true follows it as well
    own, *others = (signs * scored_by[best, versions]).tolist()
    chance = max(0.0, *others)
    guess = centered_ranks(guesses(pairs[first], values[first], pairs[second])[:, None])
    pair = float(strengths(guess, values[second][:, None], is_number)[0, 0])
    found, base, sign = own > max(chance, pair) + MARGIN, float(values.mean(dtype=float)), float(signs[0])
    scores = (own * sign, chance, pair) if is_number else ((1 + strength) / 2 for strength in (own, chance, pair))
    return Finding(name, is_number, int(best[0]), sign > 0, base, found, *scores)


def is_common(values: np.ndarray) -> bool:
    """Whether a fact is true and false often enough."""
    there = values > 0
    return bool(RARE <= there.mean() <= 1 - RARE and np.count_nonzero(there[1:] != there[:-1]) >= 2 * TIMES)


def shifted(values: np.ndarray) -> np.ndarray:
    """Returns the values (T,), and the same moved along the text and around its end: (T, 1 + SHIFTS)."""
    distances = np.linspace(0.05, 0.95, SHIFTS) * len(values)
    return np.stack([values, *(np.roll(values, int(distance)) for distance in distances)], axis=1)


def strengths(ranks: np.ndarray, values: np.ndarray, is_number: bool) -> np.ndarray:
    """Returns how well each cell, given by its centered ranks (T, C), follows values (T, K): (C, K), 0 if constant.

    If a yes-or-no fact is true for P of T ranks r, 2 AUC - 1 = 2 / (P (T - P)) · sum over those P of r - (T + 1) / 2;
    see Hanley and McNeil (1982).
    """
    if is_number:
        values = centered_ranks(values)
        scale = np.linalg.norm(ranks, axis=0)[:, None] * np.linalg.norm(values, axis=0)
    else:
        yes = values.sum(axis=0)
        scale = yes * (len(values) - yes) / 2
    return ranks.T @ values / np.maximum(scale, 0.5)


def centered_ranks(values: np.ndarray) -> np.ndarray:
    """Returns the ranks of each column of (T, K), minus their mean, as float32; ties get their mean rank."""
    result = np.empty(values.shape, np.float32)
    for column, ranks in zip(values.T, result.T):
        order = column.argsort()
        ordered = column[order]
        starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
        lengths = np.diff(starts, append=len(column))
        ranks[order] = np.repeat(starts + (lengths - len(column)) / 2, lengths)
    return result


def guesses(pairs: list[tuple[str, str]], values: np.ndarray, other_pairs: list[tuple[str, str]]) -> np.ndarray:
    """Returns for each of other_pairs the mean value of the same pair here, or the overall mean if it is new."""
    seen = defaultdict(list)
    for pair, value in zip(pairs, values.tolist()):
        seen[pair].append(value)
    means = {pair: sum(found) / len(found) for pair, found in seen.items()}
    return np.array([means.get(pair, values.mean()) for pair in other_pairs])
