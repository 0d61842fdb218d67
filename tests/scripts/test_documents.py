"""Texts made of many short ones, as a user trains on them, samples from them and looks at them."""

import json
import re
import signal
from itertools import accumulate

import pytest

import char_rnn
from tests.helpers.checkpoints import checkpoints, same
from tests.helpers.folders import folder_in
from tests.helpers.inputs import SMALL, names
from tests.helpers.logs import progress
from tests.helpers.refusals import refused, refused_to_train
from tests.helpers.runs import finish, signals_at
from tests.helpers.scripts import run
from util.checkpoint.store import load_checkpoint

FLAGS = [*SMALL, "-num_layers=1", r"-document_end=\n", "-shuffle=1", "-dropout=0.2", "-dtype=float64", "-max_epochs=2"]


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    folder = tmp_path_factory.mktemp("names")
    (folder / "input.txt").write_text(names(320))
    return folder


@pytest.fixture(scope="module")
def trained(text, tmp_path_factory):
    """A run of two epochs: its folder."""
    folder = tmp_path_factory.mktemp("trained")
    done = finish(folder, *FLAGS, "-data_dir", text)
    assert done.status == 0, done.err
    return folder, done


@pytest.fixture(scope="module")
def checkpoint(trained):
    folder, _ = trained
    (path,) = (folder / "cv").iterdir()
    return path


def test_a_run_says_how_many_documents_it_has_and_resumed_shuffles_as_the_uninterrupted_one(trained, text, tmp_path):
    folder, whole = trained
    numbers = "batches in train: 58, val: 2, test: 0\nnumber of documents in train: 304, val: 16, test: 0\n"
    assert numbers in whole.out
    # In the first epoch, at its last iteration, and in the second.
    parts = [finish(tmp_path, *FLAGS, "-data_dir", text, prepare=signals_at(7, signal.SIGINT))]
    for at in (58, 58 + 9):
        parts.append(finish(tmp_path, "-resume", "cv", prepare=signals_at(at, signal.SIGINT)))
    parts.append(finish(tmp_path, "-resume", "cv"))
    assert [part.status for part in parts] == [130, 130, 130, 0]
    assert [line for part in parts for line in progress(part.out)] == progress(whole.out)
    assert same(checkpoints(tmp_path / "cv"), checkpoints(folder / "cv"))


def test_each_of_several_files_is_a_document(text, trained, tmp_path):
    """A name in each, without its newline, and three in the last: the text is that of the one file."""
    folder = folder_in(tmp_path, "many")
    lines = names(320).splitlines()
    for number, content in enumerate([*lines[:317], "\n".join(lines[317:])]):
        (folder / f"{number:03}.txt").write_text(content)
    done = finish(tmp_path, *FLAGS, "-data_dir", folder, "-files=*.txt")
    assert done.status == 0 and "\n318 files, 320 documents\n" in done.out, done.err
    assert progress(done.out) == progress(trained[1].out)
    assert finish(tmp_path, "-resume=cv", "-max_epochs=3").status == 0


def test_what_looks_at_a_split_looks_at_its_documents(checkpoint, tmp_path):
    """The validation loss is the trainer's to the last digit."""
    stored = load_checkpoint(checkpoint)
    done = run("evaluate.py", checkpoint, "-gpuid=-1", cwd=tmp_path)
    assert f"loss per character: {stored.val_losses[stored.iteration]!r} nats\n" in done.stdout, done.stderr
    content = names(320)
    documents = content.splitlines(keepends=True)
    learned = next(end for end in accumulate(map(len, documents)) if end >= 0.95 * len(content))
    length = (len(content) - learned) // 40 * 10
    run("visualize.py", checkpoint, "-output=x.html", cwd=tmp_path)
    page = json.loads(re.search(r'id="content">(.*?)</script>', (tmp_path / "x.html").read_text("utf-8"), re.S)[1])
    assert page["passages"] == [content[learned + b * length : learned + (b + 1) * length] for b in range(4)]
    (tmp_path / "sampled.txt").write_text(content)
    done = run("evaluate.py", checkpoint, "-novelty=sampled.txt", cwd=tmp_path)
    assert f"input.txt: {learned} characters for training\n" in done.stdout


def test_a_text_begins_with_a_new_document_and_ends_before_the_next(checkpoint):
    """A text that is stopped there is the one that is not, up to its separator; -stop ends it, too."""
    model = char_rnn.load(checkpoint)
    done = run("sample.py", checkpoint, "-gpuid=-1", "-length=300")
    assert "no -primetext given: the text begins with a new document\n" in done.stderr
    assert model.sample(length=300) + "\n" == done.stdout
    assert model.sample("\n", length=300) + "\n" == "\n" + done.stdout
    for prime, sample in (("", 0), ("An", 1), ("", 1)):
        whole = model.sample(prime, length=60, sample=sample)
        document, separator, _ = whole.partition("\n")
        assert separator and model.sample(prime, length=60, sample=sample, stop_document=True) == document
    document = model.sample(length=60, stop_document=True)
    until = document[: document.index(document[1]) + 1]
    assert model.sample(length=60, stop_document=True, stop=[document[1]]) == until
    whole, stopped = (
        run("sample.py", checkpoint, "-gpuid=-1", "-length=60", "-num_samples=20", f"-stop_document={stop}").stdout
        for stop in (0, 1)
    )
    assert re.findall(r"-----\n(.*)\n", whole) == re.findall(r"-----\n(.*)\n", stopped)
    assert stopped.count("\n") == 2 * 20 < whole.count("\n")


def test_mistakes(text, checkpoint, unicode_checkpoint, tmp_path):
    def refuses(*flags: str, words: str) -> None:
        refused_to_train(run("train.py", *SMALL, "-data_dir", text, *flags, cwd=tmp_path), words)

    refuses("-document_end=;", words="the text does not contain ';' between documents")
    refuses("-shuffle=1", words="say with -document_end what ends one")
    refuses(r"-document_end=\n", "-train_frac=0.999", words="61 batches for training and 0 for validation")
    done = run("train.py", "-resume", checkpoint, "-document_end=x", cwd=tmp_path)
    refused_to_train(done, r"-document_end x cannot be combined with -resume, since the run has \n;")
    done = run("sample.py", unicode_checkpoint, "-gpuid=-1", "-stop_document=1")
    refused(done, "not trained with -document_end", "-stop")


def test_a_new_run_from_its_model_names_the_document_end(checkpoint, text, tmp_path):
    flags = [*SMALL, "-data_dir", text, "-init_from", checkpoint, "-max_epochs=1"]
    run = finish(tmp_path, *flags)
    assert run.status == 0 and r"that model's text had -document_end '\n'; give it again" in run.out
    again = finish(folder_in(tmp_path, "again"), *flags, r"-document_end=\n")
    assert again.status == 0 and "that model's text" not in again.out
