"""Promise: the probabilities are TensorFlow's, after the softmax and before it."""

from pytest_dscoreml.suite.test_probabilities import (
    test_log_probabilities_agree,
    test_probabilities_agree,
    test_probabilities_sum_to_one,
)

__all__ = ["test_log_probabilities_agree", "test_probabilities_agree", "test_probabilities_sum_to_one"]
