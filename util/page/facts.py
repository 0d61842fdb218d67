"""Simple facts about a text, character by character: how long the line is so far, whether a quotation is open.

A fact is what can be said after reading a character. Facts that look ahead say so in their names.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

OPENING, CLOSING = "([{", ")]}"
# Each of these patterns ends with the first character that is no longer inside; see `inside`.
COMMENT = re.compile(
    r"/\*.*?(?:\*/|\Z)|<!--.*?(?:-->|\Z)|(?:(?<!:)//|(?:^|(?<=\s))#(?=[ !]))[^\n]*\n", re.DOTALL | re.MULTILINE
)
TAG = re.compile(r"</?[A-Za-z][^<>\n]*>")
QUOTATION = re.compile(r'"(?:[^"\n]|\n(?!\s*\n))*(?:"|\n|\Z)|“[^”]*(?:”|\Z)|«[^»]*(?:»|\Z)|「[^」]*(?:」|\Z)')
SPEAKER = re.compile(r"^[^\n]*:\n", re.MULTILINE)
WORD = re.compile(r"[^\W\d_]+")
INDENT = re.compile(r"^[ \t]+", re.MULTILINE)


@dataclass
class Fact:
    """`values` returns the fact after each character of a passage, (T,): a number, or 0 or 1."""

    name: str
    is_number: bool
    values: Callable[[str], np.ndarray]


def since(pattern: str, text: str) -> np.ndarray:
    """Counts characters since the last match of a pattern ended, or since the passage began."""
    latest = np.zeros(len(text), int)
    ends = [match.end() - 1 for match in re.finditer(pattern, text)]
    latest[ends] = ends
    return np.arange(len(text)) - np.maximum.accumulate(latest)


def whether(is_so: Callable[[str], bool], text: str) -> np.ndarray:
    """Says whether a character is of some kind."""
    return np.array([is_so(c) for c in text], int)


def inside(pattern: re.Pattern[str], text: str) -> np.ndarray:
    """Says whether a match of the pattern continues after a character. The text is read as if a newline followed."""
    result = np.zeros(len(text), int)
    for match in pattern.finditer(text + "\n"):
        result[match.start() : match.end() - 1] = 1
    return result


def word_length(text: str) -> np.ndarray:
    result = np.zeros(len(text), int)
    for match in WORD.finditer(text):
        result[match.start() : match.end()] = np.arange(1, 1 + match.end() - match.start())
    return result


def indentation(text: str) -> np.ndarray:
    """Counts the blanks at the beginning of the line."""
    result = np.zeros(len(text), int)
    for match in INDENT.finditer(text):
        end = text.find("\n", match.end())
        result[match.start() : end if end >= 0 else len(text)] = match.end() - match.start()
        result[match.start() : match.end()] = np.arange(1, 1 + match.end() - match.start())
    return result


def bracket_depth(text: str) -> np.ndarray:
    depth, result = 0, []
    for c in text:
        depth = max(0, depth + (c in OPENING) - (c in CLOSING))
        result.append(depth)
    return np.array(result, int)


FACTS = (
    Fact("characters since the line began", True, partial(since, r"\n")),
    Fact("characters since a sentence ended", True, partial(since, r"[.!?。！？]")),  # noqa: RUF001
    Fact("characters since the paragraph began", True, partial(since, r"\n[ \t]*\n")),
    Fact("length of the word so far", True, word_length),
    Fact("depth of brackets", True, bracket_depth),
    Fact("indentation of the line", True, indentation),
    Fact("inside quotation marks", False, partial(inside, QUOTATION)),
    Fact("inside a comment", False, partial(inside, COMMENT)),
    Fact("inside a tag", False, partial(inside, TAG)),
    Fact("in a line that will end in a colon", False, partial(inside, SPEAKER)),
    Fact("in a word", False, partial(whether, str.isalpha)),
    Fact("a capital", False, partial(whether, str.isupper)),
    Fact("a digit", False, partial(whether, str.isdigit)),
    Fact("after punctuation", False, partial(whether, lambda c: c in ".,;:!?。，；：！？、")),  # noqa: RUF001
)
