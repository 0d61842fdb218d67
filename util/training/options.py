"""The flags of train.py."""

from pathlib import Path

from model.cells import CELLS
from util.checkpoint.content import OPTIMIZER_STATE
from util.cli.flags import (
    FILE,
    FRACTION,
    PATH,
    POSITIVE,
    SEED,
    STRING,
    SWITCH,
    Flags,
    Role,
    choice,
    number,
    real,
    whole,
)
from util.torch7_random import DEFAULT_SEED

RUN, COURSE, PACE, TEXT, MACHINE, CALL = Role.RUN, Role.COURSE, Role.PACE, Role.TEXT, Role.MACHINE, Role.CALL
DROPPED = real(lambda x: 0 <= x < 1, "a number from 0 to below 1")
EPOCHS = real(lambda x: 0 < x < 1e38, "a number above 0 and below 1e38", number)
FROM_0 = real(lambda x: x >= 0, "a number from 0", number)


def flags() -> Flags:
    """Returns the flags, with what each means for a run."""
    flags = Flags("Trains a character-level language model.", "python train.py -data_dir data/mytext -rnn_size 256")
    add_text_and_model(flags)
    add_optimization(flags)
    add_output(flags)
    add = flags.add_machine()
    add("threads", whole(0, 1024), 0, "most threads to use on a CPU; 0 = as many as there are cores", role=MACHINE)
    return flags


def add_text_and_model(flags: Flags) -> None:
    add = flags.group("data")
    add("data_dir", PATH, Path("data/tinyshakespeare"), "folder that holds input.txt or input.txt.gz", role=TEXT)
    add("files", STRING, "", "pattern in quotes, such as '*.txt': train on all such files, in name order", role=TEXT)
    add("separator", STRING, "", r"text to put between these files; \n is a newline, \t a tab", role=TEXT)
    add("encoding", STRING, "utf-8", "encoding of the text: any Python codec, or bytes", role=RUN)
    add("train_frac", FRACTION, 0.95, "fraction of the text to train on", role=RUN)
    add("val_frac", FRACTION, 0.05, "fraction to validate on, 0 = train on all; the rest is the test split", role=RUN)
    add("document_end", STRING, "", r"what ends each document of a text made of many, such as '\n\n'", role=RUN)
    add("shuffle", SWITCH, 0, "1 = read the training documents in a new order in each epoch", role=RUN)
    add = flags.group("model")
    add("model", choice(*CELLS), "lstm", "recurrent cell", role=RUN)
    add("rnn_size", whole(1), 128, "size of each hidden layer", role=RUN)
    add("num_layers", whole(1), 2, "number of hidden layers", role=RUN)
    add("dropout", DROPPED, 0.0, "probability of dropping an output of a hidden layer while training", role=RUN)
    how = "floating-point precision; bfloat16 = float32 with rougher products, which some processors compute faster"
    add("dtype", choice("float32", "float64", "bfloat16"), "float32", how, role=RUN)
    add("init_from", STRING, "", "checkpoint to take the initial parameters from", role=RUN)
    add("new_chars", choice("error", "add"), "error", "what to do with characters that are new to its model", role=RUN)
    add("resume", FILE, "", "continue the run of this checkpoint, or of the newest one in this folder", role=CALL)


def add_optimization(flags: Flags) -> None:
    add = flags.group("optimization")
    add("learning_rate", POSITIVE, 2e-3, "learning rate", role=COURSE)
    add("learning_rate_decay", POSITIVE, 0.97, "multiply the learning rate by this after each epoch", role=COURSE)
    add("learning_rate_decay_after", FROM_0, 10, "number of epochs before the decay starts", role=COURSE)
    add("decay_rate", FRACTION, 0.95, "how much of its running mean RMSprop keeps in each iteration", role=RUN)
    add("optim", choice(*OPTIMIZER_STATE), "rmsprop", "optimizer", role=RUN)
    add("seq_length", whole(1), 50, "number of time steps to backpropagate through", role=RUN)
    add("batch_size", whole(1), 50, "number of streams of text to train on in parallel", role=RUN)
    add("max_epochs", EPOCHS, 50, "number of passes over the training text, such as 50 or 0.5", role=PACE)
    add("grad_clip", POSITIVE, 5.0, "clamp each element of the gradient to plus or minus this", role=RUN)
    add("max_loss_ratio", FROM_0, 3.0, "stop if the loss exceeds this many times the first one; 0 = never", role=PACE)
    add("early_stop", whole(0), 0, "stop after this many validations without a lower loss; 0 = never", role=PACE)
    add("seed", SEED, DEFAULT_SEED, "seed for the random numbers", role=RUN)


def add_output(flags: Flags) -> None:
    add = flags.group("output")
    add("print_every", whole(1), 1, "iterations between log lines", role=PACE)
    add("eval_val_every", whole(1), 1000, "iterations between validations, each followed by a checkpoint", role=PACE)
    add("checkpoint_dir", PATH, Path("cv"), "folder for checkpoints; a resumed run has its own", role=CALL)
    add("savefile", STRING, "", "name to put into the names of checkpoints; by default that of the cell", role=PACE)
    add("save_every", whole(0), 0, "iterations between checkpoints that the next one replaces; 0 = none", role=PACE)
    add("keep", whole(0), 0, "keep only this many of the best checkpoints, and the newest; 0 = keep all", role=PACE)
    shown = "characters to write at iterations 100, 300 and after validations, by default on a terminal only; 0 = none"
    add("preview", whole(0), 200, shown, role=CALL)
    add("log_csv", FILE, "", "CSV file to write the figures of each log line to; - = standard output", role=CALL)
    add("tensorboard", FILE, "", "folder to write the same figures to, for TensorBoard", role=CALL)
    add("accurate_gpu_timing", SWITCH, 0, "ignored: the clock is always read when the GPU is done", role=MACHINE)
