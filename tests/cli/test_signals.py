"""The first signal asks a run to stop; the second one stops it."""

import signal

import pytest

from util.cli.signals import StopSignals, cleaning_up


def test_the_second_signal_meets_the_default(capfd):
    with StopSignals() as stop:
        assert (stop.received, stop.exit_status) == (None, 0)
        signal.raise_signal(signal.SIGTERM)
        assert (stop.received, stop.exit_status) == (signal.SIGTERM, 143)
        assert {signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)} == {signal.SIG_DFL}
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert capfd.readouterr().err == "stopping after this iteration; interrupt again to stop at once, without saving\n"


def test_the_second_signal_lets_files_be_cleaned_up():
    with cleaning_up(), StopSignals(silent=True):
        signal.raise_signal(signal.SIGTERM)
        for number in (signal.SIGTERM, signal.SIGINT):
            with pytest.raises(SystemExit):
                signal.raise_signal(number)
