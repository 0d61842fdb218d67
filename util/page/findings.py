"""Finds the cells that follow facts about a text, and measures how well.

A cell is chosen on one half of the passages and scored on the other. Its score is compared with two others: that of
chance, and that of a guess from the last two characters alone.

A score is the area under the ROC curve (AUC) for a yes-or-no fact, and Spearman's correlation for a number. Inside,
both are a strength from -1 to 1: 2 AUC - 1, or the correlation. Either is a product of the cell's ranks with the fact,
so those of all cells and facts are matrix products. Letters: T characters, C cells, F facts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from util.page.facts import FACTS, Fact
from util.text.vocabulary import UNICODE_SIZE

SHIFTS = 24
"""How many times chance is tried: a cell is chosen and scored in the same way, with the fact moved along the text."""
RARE, TIMES = 0.005, 8
"""A fact is left out if, in either half, a smaller fraction of characters has it, or it occurs fewer times."""
MARGIN = 0.06
"""By how much a strength must exceed chance and the last two characters to be a finding."""
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
    """Whether the cell is high when the fact is true; if not, the AUC is that of the negated cell."""
    base: float
    """The fraction of characters that have the fact, or its mean."""
    chance: float
    pair: float
    """The score of a guess from the last two characters."""
    found: bool
    """Whether the cell knows more than chance and that guess."""


def find(passages: Sequence[str], cells: np.ndarray) -> list[Finding]:
    """Returns the findings in passages, whose cells after each character are (T, C).

    The strongest come first, then the facts without a finding. Fewer than two passages have none.
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
    """Returns the facts that are true and false often enough in both halves of a text, with their values (T,)."""
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
    """Returns the values (T,), and the same moved along the text and around its end: (T, 1 + SHIFTS)."""
    distances = np.linspace(0.05, 0.95, SHIFTS) * len(values)
    return np.stack([values, *(np.roll(values, int(distance)) for distance in distances)], axis=1)


def strengths(cells: np.ndarray, facts: Sequence[np.ndarray], numbers: np.ndarray) -> np.ndarray:
    """Returns how well each cell (T, C) follows each fact, given in K versions (T, K): (C, F, K), 0 if one is constant.

    `numbers` (F,) says which of the facts are numbers. If a yes-or-no fact is true for P of T ranks r,
    2 AUC - 1 = 2 / (P (T - P)) · sum over those P of r - (T + 1) / 2; see Hanley and McNeil (1982).
    """
    T, C = cells.shape
    factors = np.stack([(scaled_ranks if number else scaled_events)(fact) for fact, number in zip(facts, numbers)], 1)
    result = np.empty((C, *factors.shape[1:]), np.float32)
    for start in range(0, C, CELLS_AT_ONCE):
        ranks = centered_ranks(cells[:, start : start + CELLS_AT_ONCE])
        some = result[start : start + CELLS_AT_ONCE]
        some[:] = (ranks.T @ factors.reshape(T, -1)).reshape(some.shape)
        some[:, numbers] /= np.maximum(np.linalg.norm(ranks, axis=0), 1e-30)[:, None, None]
    return result


def scaled_events(values: np.ndarray) -> np.ndarray:
    """Scales yes-or-no values (T, K) so that their product with centered ranks is 2 AUC - 1."""
    yes, T = values.sum(axis=0), len(values)
    return (values * 2 / np.maximum(yes * (T - yes), 1)).astype(np.float32)


def scaled_ranks(values: np.ndarray) -> np.ndarray:
    """Returns the centered ranks of values (T, K), scaled to length 1."""
    ranks = centered_ranks(values)
    return ranks / np.maximum(np.linalg.norm(ranks, axis=0), 1e-30)


def centered_ranks(values: np.ndarray) -> np.ndarray:
    """Returns the ranks of each column of (T, K), minus their mean, as float32; ties get their mean rank."""
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
    """Returns a number for each pair of a character and the one before it, (T,)."""
    codes = np.array([ord(c) for c in passage])
    return codes + UNICODE_SIZE * np.concatenate([[0], codes[:-1]])


def guesses(pairs: np.ndarray, values: np.ndarray, other_pairs: np.ndarray) -> np.ndarray:
    """Returns for each of other_pairs the mean value of the same pair here, or the overall mean if it is new."""
    known, places = np.unique(pairs, return_inverse=True)
    means = np.bincount(places, values) / np.bincount(places)
    at = np.minimum(np.searchsorted(known, other_pairs), len(known) - 1)
    return np.where(known[at] == other_pairs, means[at], values.mean())
