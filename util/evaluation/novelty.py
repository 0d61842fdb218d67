"""Says how much of a sampled text is copied: which of its passages are word for word in the training text."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from util.checkpoint.content import Checkpoint
from util.checkpoint.text_of_checkpoint import load_text_of
from util.cli.console import shown, tell
from util.cli.files import read_input
from util.errors import UserError
from util.evaluation.copies import LENGTHS, find, locate, longest_copy, whole_pieces
from util.sampling.growing import texts_in
from util.sampling.writing import document_end
from util.sampling.writing import primetext as written_primetext
from util.text.batches import TRAIN, VALIDATION, Span
from util.text.cache import Text
from util.text.loading import batches_of_run
from util.text.source import Source, code_points
from util.text.vocabulary import Vocabulary, as_bytes

YARDSTICK = 100_000
"""How many characters of the validation text tell as much as all of it."""


class Novelty(NamedTuple):
    """What a sampled text has copied; -json 1 prints it so."""

    text: str
    copied: dict[int, float | None]  # the share of its passages of each length that are in the training text, if any
    longest: int  # the length of its longest copied passage
    passage: str  # that passage
    file: str | None  # where it is first, if the training text has several files
    line: int | None
    whole: int  # so many of its documents, or of its lines if the model knows none, are whole ones of the training text
    of: int


def print_novelty(
    name: str, primetext: str, checkpoint: Checkpoint, path: Path, data_dir: str, as_json: bool = False
) -> None:
    """Prints how much of the sampled text in the file `name` is word for word in the training text.

    `path` is where the checkpoint lies, and `data_dir` where its text does, if the user says so. With `as_json` it is a
    line of JSON for each text. Raises UserError.
    """
    vocabulary, end = checkpoint.vocabulary, document_end(checkpoint)
    samples = read_samples(name, primetext, vocabulary)
    source, text = load_text_of(checkpoint, path, data_dir, or_file=False)
    training, validation = [(0, len(text.indices))], list[Span]()
    batches = batches_of_run(text, checkpoint.options)
    if batches and batches.split_sizes[TRAIN]:
        training, validation = batches.spans(TRAIN), batches.spans(VALIDATION)
    else:
        tell("the checkpoint does not say which part of its text was for training, so all of it counts")
    most = YARDSTICK // max(1, len(validation))
    texts = [text.vocabulary.by_code[code_points(sample)] for sample in samples]
    texts += [text.indices[start : min(stop, start + most)].astype(int) for start, stop in validation]
    found = {length: find(texts, length, text.indices, training) for length in LENGTHS}
    separator = "".join(vocabulary.characters[index] for index in end) or "\n"
    each = novelties(samples, texts, found, separator, text, training, source)
    if as_json:
        for one in each:
            print(json.dumps(one._asdict(), ensure_ascii=False))
        return
    unit = vocabulary.unit
    print(f"{name}: {sum(map(len, samples))} {unit}s in {len(samples)} text{'s' * (len(samples) != 1)}")
    print(f"{source}: {sum(stop - start for start, stop in training)} {unit}s for training")
    print("passages in the training text: of the sample, of the validation text")
    for length, places in found.items():
        print(f"{length:>4} {unit}s: {in_percent(places[: len(samples)])} {in_percent(places[len(samples) :])}")
    pieces = "documents" if end else "lines"
    print(f"whole {pieces} of the training text: {sum(one.whole for one in each)} of {sum(one.of for one in each)}")
    print("longest copied passage of each text:")
    for number, one in enumerate(each, 1):
        where = f"line {one.line}" + (f" of {shown(one.file)}" if one.file else "")
        passage = f"{one.longest} {unit}s, {where}: {one.passage[:200]!r}" + " ..." * (len(one.passage) > 200)
        print(f"text {number}: {passage if one.longest else f'none of {LENGTHS[0]} {unit}s or more'}")


def novelties(
    samples: list[str], texts: list[np.ndarray], found: dict[int, list[np.ndarray]], separator: str,
    text: Text, training: list[Span], source: Source,
) -> list[Novelty]:  # fmt: skip
    """Returns what there is to say of each sample.

    `texts` are the indices of the samples, and then of others; `found` is for each length what `find` returns for them.
    """
    of_each = [{length: places[number] for length, places in found.items()} for number in range(len(samples))]
    copies = [longest_copy(codes, places, text.indices, training) for codes, places in zip(texts, of_each)]
    lines = locate(source, text.vocabulary.encoding, [position for _, position in copies])
    pieces = [[piece for piece in sample.split(separator) if piece] for sample in samples]
    whole = whole_pieces({piece for some in pieces for piece in some}, separator, text, training)
    each = []
    for sample, places, (copy, position), its_pieces in zip(samples, of_each, copies, pieces):
        read = sample.encode("latin-1").decode(errors="replace") if text.vocabulary.is_bytes else sample
        shares = {length: share([where]) for length, where in places.items()}
        passage = text.vocabulary.decode(copy)
        file, line = lines.get(position, (None, None))
        known = sum(piece in whole for piece in its_pieces)
        each.append(Novelty(read, shares, len(copy), passage, file, line, known, len(its_pieces)))
    return each


def read_samples(name: str, primetext: str, vocabulary: Vocabulary) -> list[str]:
    """Returns the texts in a file that sample.py wrote, also with -json 1, without the primetext in front.

    For a model of bytes each character is a byte of the text's UTF-8. Raises UserError.
    """
    content = read_input(name)
    as_read = as_bytes if vocabulary.is_bytes else str
    try:
        texts = continuations(name, content.decode(errors="replace" if vocabulary.is_bytes else "strict"))
        if texts is not None:
            return [as_read(text) for text in texts]
        samples = texts_in(content.decode("latin-1" if vocabulary.is_bytes else "utf-8"))
    except UnicodeError as error:
        raise UserError(f"{name} is not UTF-8 text, which sample.py writes for this model") from error
    prime = written_primetext(vocabulary, primetext)
    start = as_read(prime)
    for number, sample in enumerate(samples, 1):
        if not sample.startswith(start):
            what_to_do = "give it exactly as it stands there, or leave it out"
            raise UserError(f"text {number} does not begin with the -primetext {prime!r}; {what_to_do}")
    return [sample.removeprefix(start) for sample in samples]


def continuations(name: str, content: str) -> list[str] | None:
    """Returns what follows the primetexts in sample.py's lines of JSON; None if the content is none.

    An error, by which -prompts answers, is no text. Raises UserError if only some lines are sample.py's.
    """
    answers = [*map(answer, content.removesuffix("\n").split("\n"))]
    texts = [str(one["continuation"]) for one in answers if "continuation" in one]
    if not texts:
        return None
    for number, one in enumerate(answers, 1):
        if not one.keys() & {"continuation", "error"}:
            raise UserError(f"line {number} of {name} is no line of JSON that sample.py writes, as others are")
    if errors := len(answers) - len(texts):
        tell(f"warning: {errors} of the {len(answers)} lines of {name} tell of an error, and are left out")
    return texts


def answer(line: str) -> dict[str, Any]:
    """Returns the JSON object in a line; an empty one if there is none."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def share(places: Sequence[np.ndarray]) -> float | None:
    """Returns which fraction of passages has a place in the training text; None if there is no passage."""
    every = np.concatenate([np.zeros(0), *places])
    return float(np.mean(every >= 0)) if len(every) else None


def in_percent(places: Sequence[np.ndarray]) -> str:
    fraction = share(places)
    return "      -" if fraction is None else f"{fraction:7.2%}"
