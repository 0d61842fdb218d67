"""evaluate.py -table: a row for each checkpoint."""

import shutil

from tests.helpers.checkpoints import rewrite
from tests.helpers.evaluations import measured, rows_of, score
from tests.helpers.inputs import GOLDEN
from tests.helpers.refusals import refused
from tests.helpers.scripts import run
from util.checkpoint.store import load_checkpoint


def test_a_row_for_each_checkpoint(trained, tmp_path):
    (tmp_path / "x.txt").write_bytes(b"one two three")
    rows = rows_of(score(*trained.values(), "-file=x.txt", cwd=tmp_path))
    for (model, path), row in zip(trained.items(), rows, strict=True):
        checkpoint, alone = load_checkpoint(path), score(path, "-file=x.txt", cwd=tmp_path)
        dropout = {"lstm": "0.2"}.get(model, "0")
        about = [str(path), model, "2", "8", dropout, "123", str(checkpoint.size), f"{checkpoint.epoch:.2f}"]
        about += [str(checkpoint.iteration), "x.txt", "", "12"]
        assert [*row.values()][: len(about)] == about
        assert float(row["nats"]) == measured(alone) and row["perplexity"] in alone.stdout


def test_a_folder_of_folders_gives_the_checkpoints_in_all_of_them(trained, tmp_path):
    """With the losses that the trainer had, to the last digit."""
    refused(score(tmp_path, "-table=1", cwd=tmp_path), f"there is no checkpoint in {tmp_path}")
    for model in ("rnn", "gru", "lstm"):
        shutil.copytree(trained[model].parent, tmp_path / model)
    (tmp_path / ".hidden").mkdir()
    shutil.copy(trained["lstm"], tmp_path / ".hidden")
    shutil.copy(trained["lstm"], tmp_path / "x.pt")
    found = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.glob("[!.]*/*.pt"))
    rows = rows_of(score(".", "-table=1", cwd=tmp_path))
    assert [row["file"] for row in rows] == ["x.pt", *found] and len(found) > 3
    for row in rows:
        checkpoint = load_checkpoint(tmp_path / row["file"])
        assert float(row["nats"]) == checkpoint.val_losses[checkpoint.iteration]
        assert (row["text"], row["split"]) == (f"{checkpoint.options['data_dir']}/input.txt", "val")


def test_what_a_stranger_wrote_makes_no_column_and_steers_no_terminal(trained, tmp_path):
    """Neither an option of a checkpoint nor its name does, here and in the table of inspect_checkpoint.py."""
    options = load_checkpoint(trained["rnn"]).options | {"seed": "1\t\x1b[2J"}
    rewrite(trained["rnn"], tmp_path / "a\x1b[2J.pt", options=options, training=None)
    (tmp_path / "x.txt").write_bytes(b"one two three")
    (row,) = rows_of(score(".", "-file=x.txt", "-table=1", cwd=tmp_path))
    assert (row["file"], row["seed"]) == (r"a\x1b[2J.pt", r"1\t\x1b[2J")
    (row,) = rows_of(run("inspect_checkpoint.py", ".", cwd=tmp_path))
    assert row["file"] == r"a\x1b[2J.pt" and row["size"] == "8"


def test_a_table_goes_on_after_a_checkpoint_that_does_not_fit(trained, tmp_path):
    """It is named; the rows of a run come in the order of its iterations, whatever the files' times."""
    (tmp_path / "x.txt").write_text('one\ttwo "more"')
    shutil.copytree(trained["lstm"].parent, tmp_path / "cv")
    for path in sorted((tmp_path / "cv").iterdir()):
        path.touch()  # the earlier the later
    other = GOLDEN / "torch_rnn" / "rnn_2x32.t7"
    done = score(other, "cv", "-file=x.txt", "-table=1", cwd=tmp_path)
    epochs = [float(row["epochs"]) for row in rows_of(done, f"warning: {other} has no row")]
    assert epochs == sorted(epochs) and len(epochs) > 1
