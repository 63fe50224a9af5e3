"""The greedy path: the likeliest class of each frame, and the text it spells. Imports NumPy and the alphabet."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_dscoreml.model.alphabet import Alphabet


def greedy_path(probabilities: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
    """The likeliest class of each frame.

    Args:
        probabilities: [T, C], or anything that orders the classes alike.

    Returns:
        int64 [T]; among equals the lowest class.
    """
    path: NDArray[np.int64] = np.argmax(probabilities, axis=1).astype(np.int64)
    return path


def collapse(path: Iterable[int], alphabet: Alphabet) -> str:
    """The text of a path of classes: repetitions count once, then blanks are dropped."""
    classes = [int(index) for index, _ in groupby(path)]
    return alphabet.text(index for index in classes if index != alphabet.blank)
