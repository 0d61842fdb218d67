"""What a script says about a mistake: one sentence that names the thing and the way out, and no traceback."""

from subprocess import CompletedProcess

from tests.helpers.logs import log


def told(done: CompletedProcess, *words: str, status: int = 1) -> None:
    """Asserts that a script ended with one sentence with these words in it, after warnings at most."""
    *warnings, sentence = _text(done.stderr).splitlines() or [""]
    assert done.returncode == status, done.stderr
    assert sentence.startswith("error: ") and all(line.startswith("warning: ") for line in warnings), done.stderr
    assert [word for word in words if word not in f"{sentence}\n"] == [], done.stderr


def refused_to_train(done: CompletedProcess, *words: str, status: int = 1) -> None:
    """Asserts that train.py ended with one sentence with these words in it, before its first iteration."""
    told(done, *words, status=status)
    assert _text(done.stderr).count("\n") == 1, done.stderr
    assert log([_text(done.stdout)]) == {}


def refused(done: CompletedProcess, *words: str, status: int = 1) -> None:
    """Asserts that a script ended with one sentence with these words in it, and wrote nothing else."""
    refused_to_train(done, *words, status=status)
    assert not done.stdout


def _text(output: str | bytes) -> str:
    return output.decode() if isinstance(output, bytes) else output
