"""Simple facts about a text, character by character: how long the line is so far, whether a quotation is open.

A fact is what can be said after reading a character. Facts that look ahead say so in their names.
"""

import re
from collections.abc import Callable
from functools import partial
from itertools import accumulate

import numpy as np

Fact = Callable[[str], np.ndarray]
"""Returns a fact after each character of a passage, (T,): a number, or 0 or 1 for a condition."""

# Each of these patterns ends with the first character that is no longer inside; see `inside`.
COMMENT = re.compile(
    r"/\*.*?(?:\*/|\Z)|<!--.*?(?:-->|\Z)|(?:(?<!:)//|(?:^|(?<=\s))#(?=[ !]))[^\n]*\n", re.DOTALL | re.MULTILINE
)
TAG = re.compile(r"</?[A-Za-z][^<>\n]*>")
QUOTATION = re.compile(r'"(?:[^"\n]|\n(?!\s*\n))*(?:"|\n|\Z)|“[^”]*(?:”|\Z)|«[^»]*(?:»|\Z)|「[^」]*(?:」|\Z)')
SPEAKER = re.compile(r"^[^\n]*:\n", re.MULTILINE)


def since(pattern: str, text: str) -> np.ndarray:
    """Counts characters since the last match of a pattern ended, or since the passage began."""
    latest = np.zeros(len(text), int)
    ends = [match.end() - 1 for match in re.finditer(pattern, text)]
    latest[ends] = ends
    return np.arange(len(text)) - np.maximum.accumulate(latest)


def inside(pattern: re.Pattern[str], text: str) -> np.ndarray:
    """Says whether a match of the pattern continues after a character. The text is read as if a newline followed."""
    result = np.zeros(len(text), int)
    for match in pattern.finditer(text + "\n"):
        result[match.start() : match.end() - 1] = 1
    return result


def running(step: Callable[[int, str], int], text: str) -> np.ndarray:
    """Returns step(the value before, the character) after each character, beginning with 0."""
    return np.array([*accumulate(text, step, initial=0)][1:], int)


def indentation(text: str) -> np.ndarray:
    """Counts the blanks at the beginning of the line."""
    result = []
    for line in text.split("\n"):
        blanks = len(line) - len(line.lstrip(" \t"))
        result += [*(min(position, blanks) for position in range(1, len(line) + 1)), 0]  # 0 at its end
    return np.array(result[:-1], int)


NUMBERS: dict[str, Fact] = {
    "characters since the line began": partial(since, r"\n"),
    "characters since a sentence ended": partial(since, r"[.!?。！？]"),  # noqa: RUF001
    "characters since the paragraph began": partial(since, r"\n[ \t]*\n"),
    "length of the word so far": partial(running, lambda count, c: (count + 1) * c.isalpha()),
    "depth of brackets": partial(running, lambda depth, c: max(0, depth + (c in "([{") - (c in ")]}"))),
    "indentation of the line": indentation,
}
CONDITIONS: dict[str, Fact] = {
    "inside quotation marks": partial(inside, QUOTATION),
    "inside a comment": partial(inside, COMMENT),
    "inside a tag": partial(inside, TAG),
    "in a line that will end in a colon": partial(inside, SPEAKER),
    "in a word": partial(running, lambda _, c: c.isalpha()),
    "a capital": partial(running, lambda _, c: c.isupper()),
    "a digit": partial(running, lambda _, c: c.isdigit()),
    "after punctuation": partial(running, lambda _, c: c in ".,;:!?。，；：！？、"),  # noqa: RUF001
}
