"""Promise: the states after a sequence are TensorFlow's."""

from pytest_dscoreml.suite.test_states import test_states_agree

__all__ = ["test_states_agree"]
