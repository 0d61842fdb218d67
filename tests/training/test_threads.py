"""The number of threads, chosen by the times that an imitated machine takes."""

import os
import random
import re

import pytest
import torch

from tests.helpers.fake_graph import trainer
from tests.helpers.inputs import SMALL
from tests.helpers.scripts import environment, run_command
from util.training import threads
from util.training.threads import SHARE, Threads, agreeing, powers_of_two

QUIET, BUSY = {1: 0.045, 2: 0.031}, {1: 0.07, 2: 0.25}


class Machine:
    """Runs iterations whose times are a function of the number of threads and the iteration."""

    def __init__(self, numbers, seconds, tried=None):
        self.number, self.told, self.history, self.spent = numbers[-1], [], [], 0.0
        self._seconds = seconds
        tried = tried or dict.fromkeys(numbers, seconds(numbers[-1], 1))
        self._threads = Threads(tried, self._use, self.told.append)

    def _use(self, number):
        self.number = number

    def run(self, iterations):
        for _ in range(iterations):
            self.history.append(self.number)
            seconds = self._seconds(self.number, len(self.history))
            self.spent += seconds
            self._threads.took(seconds)
        return self

    def share_of(self, number, since=0):
        return self.history[since:].count(number) / len(self.history[since:])


def steady(times):
    return lambda number, iteration: times[number]


def noisy(times, spread, seed=1):
    """As times, but each at random up to so many times as long."""
    draw = random.Random(seed)
    return lambda number, iteration: times[number] * draw.uniform(1, spread)


def test_a_quiet_machine_keeps_all_threads_and_loses_next_to_nothing():
    machine = Machine([1, 2], steady(QUIET)).run(10_000)
    assert machine.number == 2 and not machine.told
    assert 2 < machine.history.count(1) < 20
    assert machine.spent < (1 + SHARE) * 10_000 * QUIET[2]


@pytest.mark.parametrize("seed", range(5))
def test_noise_does_not_mislead_it(seed):
    machine = Machine([1, 2], noisy(QUIET, 1.3, seed)).run(3000)
    assert machine.share_of(2) > 0.99 and not machine.told


@pytest.mark.parametrize("seed", range(5))
def test_a_busy_machine_is_found_out_within_a_few_iterations(seed):
    machine = Machine([1, 2], noisy(BUSY, 2, seed)).run(1000)
    assert machine.share_of(1, since=12) > 0.98
    # At least 0.9 of the iterations that one thread does in the same time.
    assert machine.spent < 1000 * BUSY[1] * 1.5 / 0.9
    (sentence,) = machine.told
    assert re.match(r"now computing with 1 thread, .* instead of 0\.\d+ s with 2 threads", sentence)


def test_it_follows_the_load_down_and_up_again():
    machine = Machine([1, 2], lambda number, i: (BUSY if 5000 < i <= 6000 else QUIET)[number])
    machine.run(5000)
    assert machine.number == 2
    machine.run(20)
    assert machine.number == 1
    machine.run(980)
    assert machine.share_of(1, since=5020) > 0.97
    machine.run(500)
    assert machine.number == 2 and machine.share_of(2, since=6100) > 0.95
    assert [sentence.split(",")[0] for sentence in machine.told] == [
        "now computing with 1 thread",
        "now computing with 2 threads",
    ]


def test_a_short_disturbance_is_not_worth_a_line():
    machine = Machine([1, 2], lambda number, i: (BUSY if 5000 < i <= 5040 else QUIET)[number]).run(6000)
    assert machine.number == 2 and not machine.told
    assert machine.history[5000:5060].count(1) > 10


@pytest.mark.parametrize("best", [1, 2, 4, 8, 16])
def test_among_many_numbers_it_finds_the_best(best):
    numbers = [1, 2, 4, 8, 16]
    machine = Machine(numbers, lambda number, i: max(number / best, best / number) * 0.1).run(5000)
    assert machine.share_of(best) > 0.95
    assert machine.spent < 1.05 * 5000 * 0.1


def test_a_little_faster_is_not_reason_enough():
    assert Machine([1, 2], steady({1: 0.095, 2: 0.1})).run(2000).number == 2


def test_a_single_number_stays():
    machine = Machine([2], steady(BUSY)).run(500)
    assert set(machine.history) == {2} and not machine.told


def test_only_numbers_with_the_same_gradient_are_taken():
    used = []

    def gradient():
        return torch.tensor([1.0, {1: 2.0, 2: 3.0, 4: 2.0}[used[-1]]])

    found = agreeing([1, 2, 4], used.append, gradient)
    assert list(found) == [1, 4] and all(seconds > 0 for seconds in found.values())


def test_a_gradient_that_is_not_a_number_agrees_with_none():
    """As when a run that has gone wrong is resumed: it continues with the number it has, and says what is wrong."""
    assert list(agreeing([1, 2, 4], lambda number: None, lambda: torch.tensor([torch.nan]))) == [4]


@pytest.mark.parametrize(("agree", "small", "number"), [([4], True, 1), ([4], False, 4), ([2, 4], True, 2)])
def test_where_no_other_number_agrees_a_small_model_uses_one_thread(agree, small, number, monkeypatch):
    used = []
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    monkeypatch.setattr(torch, "set_num_threads", used.append)
    monkeypatch.setattr(threads, "agreeing", lambda *arguments: {number: float(number) for number in agree})
    monkeypatch.setattr(threads, "SMALL", 5 * 6 * 6 + small)  # five streams, a layer of six
    threads.choose_threads(trainer("lstm"), 0)
    assert used == [number]


def test_it_begins_with_what_was_fastest_and_says_so_when_that_lasts():
    assert Machine([1, 2, 4], steady({1: 1, 2: 1, 4: 1}), tried={1: 2, 2: 1, 4: 2}).run(1).history == [2]
    busy = Machine([1, 2], steady(BUSY), tried=BUSY).run(500)
    assert busy.share_of(1) > 0.98 and len(busy.told) == 1
    mistaken = Machine([1, 2], steady(QUIET), tried={1: 0.045, 2: 0.05}).run(500)
    assert mistaken.share_of(2, since=20) > 0.98 and not mistaken.told


def test_a_number_that_was_very_slow_is_tried_again_when_that_costs_little_of_the_time():
    machine = Machine([1, 2], steady({1: 0.07, 2: 2.5}), tried={1: 0.08, 2: 3.0})
    machine.run(4000)
    assert machine.spent < 3 / SHARE and machine.share_of(1) == 1
    machine.run(16_000)
    assert machine.history.count(2) >= 1
    assert machine.spent < (1 + SHARE) * 20_000 * 0.07
    machine._seconds = steady(QUIET)  # the other programs have ended
    assert machine.run(100).number == 2


def test_other_programs_that_end_soon_are_noticed_soon():
    machine = Machine(
        [1, 2], lambda number, i: ({1: 0.08, 2: 2.5} if i <= 20 else QUIET)[number], tried={1: 0.1, 2: 3.0}
    )
    assert machine.run(60).number == 2 and machine.history[:20].count(2) == 0


def test_a_much_faster_step_decides_at_once():
    machine = Machine([1, 2], steady({1: 0.08, 2: 2.5})).run(100)
    assert machine.history.count(2) <= 5


@pytest.mark.parametrize(("most", "numbers"), [(1, []), (2, [1]), (3, [1, 2]), (8, [1, 2, 4]), (12, [1, 2, 4, 8])])
def test_candidates_are_the_powers_of_two_below_the_most(most, numbers):
    assert powers_of_two(below=most) == numbers


@pytest.fixture(scope="module")
def log_of(small_text, tmp_path_factory):
    """Returns a function that trains and returns what is printed, without the times, and what is said besides."""

    def train(threads, *flags):
        folder = tmp_path_factory.mktemp("threads")
        flags = [*SMALL, "-data_dir", small_text, "-dropout", 0.3, "-max_epochs", 1, *flags]
        done = run_command("train.py", *flags, cwd=folder, env=environment(OMP_NUM_THREADS=str(threads)))
        assert done.returncode == 0, done.stderr
        return re.sub(r"time/batch = .*", "", done.stdout), done.stderr

    return train


def test_the_figures_are_those_of_any_number_of_threads(log_of):
    expected = log_of(1)
    assert log_of(2) == expected
    assert log_of(1, "-threads", 2) == expected


def test_more_threads_than_cores_are_warned_of(log_of):
    cores = os.cpu_count()
    _, said = log_of(1, "-threads", cores + 1)
    assert f"warning: with -threads {cores + 1} on {cores} cores" in said
