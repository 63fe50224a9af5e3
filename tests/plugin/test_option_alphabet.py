"""`--dscoreml-alphabet`: the labels of a checkpoint, which holds none."""

from __future__ import annotations

import pytest


@pytest.fixture
def alphabet(pytester):
    """Write an alphabet.txt of that many labels."""

    def write(count):
        return pytester.makefile(".txt", alphabet="\n".join("abcdefghijklmnopqrstuvwxyz012345"[:count]))

    return write


def test_a_checkpoint_with_its_alphabet(gate, checkpoint, alphabet, header):
    alphabet(4)
    _, _, model = header("--dscoreml-alphabet=alphabet.txt", model=(checkpoint,))
    assert "n_hidden 8, 5 classes" in model


def test_labels_that_do_not_fit_the_classes(refusal, checkpoint, alphabet):
    alphabet(5)
    assert refusal("--dscoreml-alphabet=alphabet.txt", model=(checkpoint,)) == (
        f"checkpoint {checkpoint}: alphabet and model disagree: the alphabet has 5 labels, which with the blank makes 6 "
        "classes; the output layer has 5. Give the alphabet the model was trained with"
    )


def test_without_one_a_checkpoint_is_english(refusal, checkpoint):
    assert refusal(model=(checkpoint,)) == (
        f"checkpoint {checkpoint}: alphabet and model disagree: the alphabet has 28 labels, which with the blank makes 29 "
        "classes; the output layer has 5. Give the alphabet the model was trained with"
    )


def test_missing(refusal, checkpoint):
    assert refusal("--dscoreml-alphabet=none.txt", model=(checkpoint,)) == (
        "alphabet none.txt: cannot be read (No such file or directory); give a DeepSpeech alphabet.txt"
    )


def test_another_one_beside_a_graph(refusal, alphabet):
    alphabet(4)
    assert refusal("--dscoreml-alphabet=alphabet.txt") == (
        "--dscoreml-alphabet=alphabet.txt: not the alphabet that the graph carries; leave the option out for a graph"
    )


def test_the_same_one_beside_a_graph(gate, demo):
    gate(f"--dscoreml-alphabet={demo / 'alphabet.txt'}", "-k", "test_names").assert_outcomes(passed=1)
