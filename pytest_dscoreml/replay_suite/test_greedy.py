"""Promise: frame by frame, the most probable class is TensorFlow's."""

from pytest_dscoreml.suite.test_greedy import test_greedy_paths_agree

__all__ = ["test_greedy_paths_agree"]
