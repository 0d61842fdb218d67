"""Finds the cells that follow facts about a text, and measures how well.

A cell is chosen on one half of the passages and measured on the other. How well it follows a fact is compared with two
others: chance, and a guess from the last two characters alone.

A strength is from -1 to 1: Spearman's correlation with a number, and 2 AUC - 1 for a yes-or-no fact, where AUC is the
area under the ROC curve. Either is a product of the cell's ranks with the fact.
Letters: T characters, C cells, K versions of a fact.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from util.page.facts import CONDITIONS, NUMBERS

SHIFTS = 24
"""How often chance is tried: a cell is chosen and scored in the same way, with the fact moved along the text."""
RARE, TIMES = 0.005, 8
"""In either half at least this fraction of characters must have a fact, and it must occur so often."""
MARGIN = 0.06  # by how much a strength must exceed chance and the last two characters to be a finding


class Finding(NamedTuple):
    """A fact, the cell that follows it best, and how well."""

    name: str
    is_number: bool
    base: float  # the fraction of characters that have the fact, or its mean
    cell: int
    rises: bool  # whether the cell is high when the fact is true; if not, the strength is that of the negated cell
    strength: float
    chance: float  # the best strength by chance
    pair: float  # that of a guess from the last two characters
    found: bool  # whether the cell knows more than these two


def find_cells(passages: Sequence[str], cells: np.ndarray) -> list[Finding]:
    """Returns the findings in passages, whose cells after each character are (T, C).

    The strongest come first, then the facts without a finding. Fewer than two passages have none.
    """
    if len(passages) < 2:
        return []
    ends = np.cumsum([len(passage) for passage in passages])
    middle = int(ends[np.abs(ends[:-1] - ends[-1] / 2).argmin()])
    ranks = [centered_ranks(cells[:middle]), centered_ranks(cells[middle:])]
    pairs = [before + here for passage in passages for before, here in zip("\0" + passage, passage)]
    findings = []
    for name, fact in (NUMBERS | CONDITIONS).items():
        values = np.concatenate([fact(passage) for passage in passages]).astype(np.float32)
        if is_common(values[:middle]) and is_common(values[middle:]):
            findings.append(find_cell(name, values, pairs, middle, ranks))
    return sorted(findings, key=lambda finding: (not finding.found, -finding.strength))


def find_cell(name: str, values: np.ndarray, pairs: list[str], middle: int, ranks: list[np.ndarray]) -> Finding:
    """Chooses the cell that follows a fact, with these values (T,), before the middle, and measures it after it.

    `pairs` are the last two characters at each place, and `ranks` those of the cells, centered, in either half.
    """
    is_number = name in NUMBERS
    before, after = values[:middle], values[middle:]
    chosen_by = strengths(ranks[0], shifted(before), is_number)
    measured = strengths(ranks[1], shifted(after), is_number)

    # Each version of the fact, the true one and those that are shifted, gets the cell that follows it best. A cell that
    # is low when the fact is true follows it as well.
    versions = np.arange(1 + SHIFTS)
    best = np.abs(chosen_by).argmax(axis=0)
    signs = np.sign(chosen_by[best, versions])
    strength, *shifted_ones = (signs * measured[best, versions]).tolist()
    chance = max(0.0, *shifted_ones)

    guess = centered_ranks(guesses(pairs[:middle], before, pairs[middle:])[:, None])
    pair = float(strengths(guess, after[:, None], is_number)[0, 0])
    base = float(values.mean(dtype=float))
    found = strength > max(chance, pair) + MARGIN
    return Finding(name, is_number, base, int(best[0]), bool(signs[0] > 0), strength, chance, pair, found)


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
        _, which, counts = np.unique(column, return_inverse=True, return_counts=True)
        ranks[:] = (np.cumsum(counts) - (counts + len(column)) / 2)[which]
    return result


def guesses(pairs: list[str], values: np.ndarray, other_pairs: list[str]) -> np.ndarray:
    """Returns for each of other_pairs the mean value of the same pair here, or the overall mean if it is new."""
    seen = defaultdict(list)
    for pair, value in zip(pairs, values.tolist()):
        seen[pair].append(value)
    means = {pair: sum(found) / len(found) for pair, found in seen.items()}
    overall = values.mean()
    return np.array([means.get(pair, overall) for pair in other_pairs])
