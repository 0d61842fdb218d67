"""The code in docs/library.md, run as it is."""

import re

import pytest

from model.char_rnn import CharRNN
from model.stepper import Stepper
from tests.helpers.inputs import GOLDEN, ROOT
from util.checkpoint.store import load_checkpoint
from util.errors import UserError
from util.sampling.growing import sample_text


def test_the_examples_print_what_the_script_prints(checkpoint, run_script, capsys):
    """The second one, without PyTorch, goes on with what the first has loaded."""
    examples = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "library.md").read_text(), re.DOTALL)
    assert ["from model.char_rnn import CharRNN\n" in code for code in examples] == [True, False]
    flags = {"length": "50", "primetext": "one", "temperature": "0.7"}
    done = run_script("sample.py", checkpoint, "-verbose=0", *(f"-{name}={value}" for name, value in flags.items()))
    known: dict[str, object] = {}
    for code in examples:
        code = code.replace('"cv"', repr(str(checkpoint)))
        code, lengths = re.subn(r"length=\d+", f"length={flags['length']}", code)
        code, primes = re.subn(r'primetext="[^"]*"', f'primetext="{flags["primetext"]}"', code)
        code, temperatures = re.subn(r"temperature=[\d.]+", f"temperature={flags['temperature']}", code)
        assert (lengths, primes, temperatures) == (1, 1, 1)
        exec(code, known)
        assert capsys.readouterr().out == done.stdout and len(done.stdout) == 54


@pytest.mark.parametrize("name", ["lstm", "gru", "rnn"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numpy_and_torch_write_the_same_text(name, dtype):
    checkpoint = load_checkpoint(GOLDEN / f"{name}.t7")
    checkpoint.parameters = {key: array.astype(dtype) for key, array in checkpoint.parameters.items()}
    _, _, num_layers, cell = checkpoint.model_shape

    def texts(**options):
        model = CharRNN.from_arrays(checkpoint.model_shape, checkpoint.parameters)
        assert str(model.decoder.weight.dtype) == f"torch.{dtype}"
        steppers = Stepper(checkpoint.parameters, num_layers, cell), model.stepper()
        return [sample_text(step, checkpoint, length=300, primetext="one", **options) for step in steppers]

    drawn, cold = texts(), texts(temperature=1e-9)
    assert drawn[0] == drawn[1] and cold[0] == cold[1] and drawn[0] != cold[0]
    assert len(drawn[0]) == len(cold[0]) == 303 and len(set(drawn[0])) > len(set(cold[0]))


def test_a_primetext_that_the_model_does_not_know():
    checkpoint = load_checkpoint(GOLDEN / "rnn.t7")
    with pytest.raises(UserError, match="'Q'"):
        sample_text(lambda index: None, checkpoint, primetext="Q")
