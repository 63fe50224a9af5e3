"""The smallest set of a ranking that reaches a goal, by a simulation whose errors are known beforehand."""

from __future__ import annotations

import math

import pytest

from pytest_dscoreml.advice.choosing import Chooser, goal_of
from pytest_dscoreml.advice.measuring import Errors
from pytest_dscoreml.advice.ranking import OperationLoss
from pytest_dscoreml.progress import Progress


def errors(loss):
    return Errors(loss / 20, 0.0, 0.0, 0, loss)


class Known:
    """A simulation whose loss is the sum of those of its float16 operations, but for a pair that must go together."""

    def __init__(self, losses, pair=()):
        self.losses, self.pair, self.asked = losses, frozenset(pair), []
        self.progress = Progress()

    def errors(self, half):
        self.asked.append(half)
        together = half | self.pair if half & self.pair else half
        return errors(sum(self.losses[name] for name in together))


def rows(losses):
    return [
        OperationLoss(name, name, name, (), "mul", "", "", errors(loss), None)
        for name, loss in sorted(losses.items(), key=lambda one: -one[1])
    ]


def names(choice):
    return [row.name for row in choice.kept]


LOSSES = {"a": 8.0, "b": 4.0, "c": 2.0, "d": 1.0}


@pytest.mark.parametrize(
    ("goal", "kept", "loss"),
    [(15, [], 15), (7.5, ["a"], 7), (3, ["a", "b"], 3), (2.9, ["a", "b", "c"], 1), (0, ["a", "b", "c", "d"], 0)],
)
def test_as_few_as_reach_the_goal(goal, kept, loss):
    choice = Chooser(Known(LOSSES), rows(LOSSES)).below(goal)
    assert (names(choice), choice.errors.loss) == (kept, loss)


def test_what_brings_nothing_is_left_out_again():
    """`a` and `d` round the same value: keeping `a` brings nothing as long as `d` is float16."""
    choice = Chooser(Known(LOSSES, pair="ad"), rows(LOSSES)).below(9.5)
    assert (names(choice), choice.errors.loss) == (["b", "c"], 9)
    choice = Chooser(Known(LOSSES, pair="ad"), rows(LOSSES)).below(6)
    assert (names(choice), choice.errors.loss) == (["a", "d"], 6)


def test_a_number_of_them():
    simulation = Known(LOSSES)
    chooser = Chooser(simulation, rows(LOSSES))
    assert names(chooser.first(2)) == ["a", "b"]
    assert simulation.asked == [{"c", "d"}]
    assert names(chooser.first(9)) == ["a", "b", "c", "d"]


def test_an_overflow_is_more_than_any_goal():
    losses = {"a": math.inf, "b": 1.0}
    choice = Chooser(Known(losses), rows(losses)).below(2)
    assert (names(choice), choice.errors.loss) == (["a"], 1.0)


def test_half_of_an_infinite_loss_is_half_of_what_is_tolerated():
    assert (goal_of(0.5, errors(0.3)), goal_of(0.5, errors(math.inf))) == (0.15, 0.5)
