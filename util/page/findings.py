"""Finds the cells that follow facts of a text, and says what that is worth.

A cell is chosen on one half of the passages and scored on the other. Beside its score stand two others: that of chance,
and that of a guess from the last two characters alone.

A score is the area under the ROC curve (AUC) of a yes-or-no fact, Spearman's correlation of a number. Inside, both are
a strength from -1 to 1: 2 AUC - 1, or the correlation. Either is a product of the cell's ranks with the fact, so those
of all cells and facts are products of matrices. Letters: T characters, C cells, F facts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from util.page.facts import FACTS, Fact

SHIFTS = 24
"""How often chance is tried: with the fact moved along the text, a cell is chosen and scored as it is without."""
RARE, TIMES = 0.005, 8
"""A fact that fewer of the characters have in either half is left out, and one that comes fewer times."""
MARGIN = 0.05
"""By how much a strength must exceed those of chance and of the last two characters to be a finding."""
CELLS_AT_ONCE = 64


@dataclass
class Finding:
    """A fact, the cell that follows it best, and how well."""

    name: str
    is_number: bool
    cell: int
    score: float
    """On the half that the cell was not chosen on: an AUC, or a correlation."""
    rises: bool
    """Whether the cell is high where the fact is there; the AUC is that of the cell turned round where it is not."""
    base: float
    """The share of characters that have the fact, or its mean."""
    chance: float
    pair: float
    """The score of a guess from the last two characters."""
    found: bool
    """Whether the cell knows more than these."""


def find(passages: Sequence[str], cells: np.ndarray) -> list[Finding]:
    """Findings in passages, whose cells after each character are (T, C), the strongest first, and then what is none.

    There are none in fewer than two passages.
    """
    if len(passages) < 2:
        return []
    ends = np.cumsum([len(passage) for passage in passages])
    middle = int(ends[np.abs(ends[:-1] - ends[-1] / 2).argmin()])
    halves = slice(0, middle), slice(middle, None)
    facts, values = common_facts(passages, halves)
    if not facts:
        return []
    numbers = np.array([fact.is_number for fact in facts])
    chosen_by, scored_by = (strengths(cells[half], [shifts(v[half]) for v in values], numbers) for half in halves)
    best = np.abs(chosen_by).argmax(axis=0)  # (F, 1 + SHIFTS)
    signs = np.sign(np.take_along_axis(chosen_by, best[None], 0)[0])
    strength = signs * np.take_along_axis(scored_by, best[None], 0)[0]
    pairs = np.concatenate([last_two(passage) for passage in passages])

    ranked = []
    for f, fact in enumerate(facts):
        guess = guesses(pairs[halves[0]], values[f][halves[0]], pairs[halves[1]])
        pair = strengths(guess[:, None], [values[f][halves[1]][:, None]], numbers[f : f + 1])[0, 0, 0]
        own, chance = strength[f, 0], max(0.0, strength[f, 1:].max())
        found = bool(own > max(chance, pair) + MARGIN)
        if fact.is_number:
            scores = own * signs[f, 0], chance, pair
        else:
            scores = (1 + own) / 2, (1 + chance) / 2, (1 + pair) / 2
        score, chance, pair = map(float, scores)
        rises, base = bool(signs[f, 0] > 0), float(values[f].mean())
        finding = Finding(fact.name, fact.is_number, int(best[f, 0]), score, rises, base, chance, pair, found)
        ranked.append((not found, -own, finding))
    return [finding for _, _, finding in sorted(ranked, key=lambda entry: entry[:2])]


def common_facts(passages: Sequence[str], halves: Sequence[slice]) -> tuple[list[Fact], list[np.ndarray]]:
    """The facts that both halves of a text have, and lack, often enough to learn from; each with its values (T,)."""
    facts, values = [], []
    for fact in FACTS:
        ours = np.concatenate([fact.values(passage) for passage in passages]).astype(float)
        if all(is_common(ours[half]) for half in halves):
            facts.append(fact)
            values.append(ours)
    return facts, values


def is_common(values: np.ndarray) -> bool:
    there = values > 0
    return bool(RARE <= there.mean() <= 1 - RARE and np.count_nonzero(there[1:] != there[:-1]) >= 2 * TIMES)


def shifts(values: np.ndarray) -> np.ndarray:
    """The values (T,), and then the same moved along the text and round its end: (T, 1 + SHIFTS)."""
    distances = np.linspace(0.05, 0.95, SHIFTS) * len(values)
    return np.stack([values, *(np.roll(values, int(distance)) for distance in distances)], axis=1)


def strengths(cells: np.ndarray, facts: Sequence[np.ndarray], numbers: np.ndarray) -> np.ndarray:
    """How well each cell (T, C) follows each fact, given in K versions (T, K): (C, F, K), 0 where either is constant.

    Which of the facts are numbers `numbers` (F,) says. Of T ranks r, P of which belong to a yes-or-no fact,
    2 AUC - 1 = 2 / (P (T - P)) · sum over these of r - (T + 1) / 2; see Hanley and McNeil (1982).
    """
    T, C = cells.shape
    factors = np.stack([(scaled_ranks if number else scaled_events)(fact) for fact, number in zip(facts, numbers)], 1)
    result = np.empty((C, *factors.shape[1:]), np.float32)
    for start in range(0, C, CELLS_AT_ONCE):
        ranks = centred_ranks(cells[:, start : start + CELLS_AT_ONCE])
        some = result[start : start + CELLS_AT_ONCE]
        some[:] = (ranks.T @ factors.reshape(T, -1)).reshape(some.shape)
        some[:, numbers] /= np.maximum(np.linalg.norm(ranks, axis=0), 1e-30)[:, None, None]
    return result


def scaled_events(values: np.ndarray) -> np.ndarray:
    """Yes-or-no values (T, K) such that their product with centred ranks is 2 AUC - 1."""
    yes, T = values.sum(axis=0), len(values)
    return (values * 2 / np.maximum(yes * (T - yes), 1)).astype(np.float32)


def scaled_ranks(values: np.ndarray) -> np.ndarray:
    """The centred ranks of values (T, K), of length 1."""
    ranks = centred_ranks(values)
    return ranks / np.maximum(np.linalg.norm(ranks, axis=0), 1e-30)


def centred_ranks(values: np.ndarray) -> np.ndarray:
    """The ranks of each column of (T, K), of equal values their mean, less the mean of all. float32."""
    T = len(values)
    result = np.empty(values.shape, np.float32)
    for column, ranks in zip(values.T, result.T):
        order = column.argsort()
        ordered = column[order]
        starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
        lengths = np.diff(starts, append=T)
        ranks[order] = np.repeat(starts + (lengths - T) / 2, lengths)
    return result


def last_two(passage: str) -> np.ndarray:
    """A number for each character with the one before it, (T,)."""
    codes = np.array([ord(c) for c in passage])
    return codes + 0x110000 * np.concatenate([[0], codes[:-1]])


def guesses(pairs: np.ndarray, values: np.ndarray, other_pairs: np.ndarray) -> np.ndarray:
    """For each of other pairs the mean of the values that the same pair has here; the mean of all where it is new."""
    known, places = np.unique(pairs, return_inverse=True)
    means = np.bincount(places, values) / np.bincount(places)
    at = np.minimum(np.searchsorted(known, other_pairs), len(known) - 1)
    return np.where(known[at] == other_pairs, means[at], values.mean())
