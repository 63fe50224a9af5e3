"""Names of compressions, what they ask the worker for, and which coremltools cannot do which."""

from __future__ import annotations

import dataclasses

import pytest

from pytest_dscoreml import options
from pytest_dscoreml.conversion.compression import NAMES, THRESHOLD, Compression
from pytest_dscoreml.conversion.variants import ConversionSpec, unavailable
from pytest_dscoreml.errors import UsageError

NETWORK = ConversionSpec("dynamic", "neuralnetwork", "float32")
PROGRAM = ConversionSpec("dynamic", "mlprogram", "float16")
LOST = "loses the lookup table of k-means when it quantizes a neural network, as all do from 8.0 to 9.0; take uniform"
NO_SKLEARN = (
    "k-means needs scikit-learn beside the converter's coremltools: install it there, or take uniform, which spaces its table "
    "evenly"
)


def test_the_option_knows_them_all():
    assert options.COMPRESS.parse(",".join(reversed(NAMES))) == NAMES


@pytest.mark.parametrize(
    ("name", "method", "number"),
    [("linear8", "linear", 8), ("palettize4", "palettize", 4), ("uniform1", "uniform", 1), ("sparse50", "sparse", 50)],
)
def test_what_the_worker_is_asked_for(name, method, number):
    assert Compression.of(name).request() == {"method": method, "number": number, "threshold": THRESHOLD}


@pytest.mark.parametrize("name", ["linear", "linear3", "8", "Linear8", "uniform5", "sparse10"])
def test_a_name_that_is_none(name):
    with pytest.raises(UsageError) as caught:
        dataclasses.replace(PROGRAM, compression=name)
    assert str(caught.value) == f"unknown compression {name!r}: choose from {', '.join(NAMES)}"


def test_the_name_of_a_compressed_conversion():
    spec = dataclasses.replace(PROGRAM, compression="linear8", converter="ct9.0")

    assert spec.name == "dynamic-mlprogram-float16-linear8-ct9.0"
    assert spec.kind == "dynamic-mlprogram-float16-linear8"
    assert spec.uncompressed == ConversionSpec("dynamic", "mlprogram", "float16", converter="ct9.0")
    assert spec.uncompressed.uncompressed == spec.uncompressed


@pytest.mark.parametrize(
    ("spec", "compression", "target"),
    [
        (PROGRAM, "linear4", "iOS18"),
        (PROGRAM, "linear8", None),
        (PROGRAM, "uniform4", None),
        (PROGRAM, "", None),
        (NETWORK, "linear4", None),
    ],
)
def test_four_bits_of_an_ml_program_need_a_later_system(spec, compression, target):
    assert dataclasses.replace(spec, compression=compression).deployment_target == target


@pytest.mark.parametrize(
    ("spec", "compression", "coremltools", "sklearn", "reason"),
    [
        (PROGRAM, "linear8", "4.1", None, "coremltools 4.1 writes no ML Programs; 5.0 was the first that did"),
        (PROGRAM, "linear8", "5.2.0", None, "coremltools 5.2.0 compresses no ML Programs; 6.0 was the first that did"),
        (PROGRAM, "linear8", "6.0", None, None),
        (PROGRAM, "linear4", "7.2", None, "coremltools 7.2 quantizes ML Programs to 8 bits; 8.0 was the first with 4"),
        (PROGRAM, "linear4", "8.0", None, None),
        (PROGRAM, "linear4", "of my own", None, None),
        (PROGRAM, "sparse75", "6.3.0", None, None),
        (PROGRAM, "uniform4", "6.3.0", None, None),
        (PROGRAM, "palettize4", "9.0", None, NO_SKLEARN),
        (PROGRAM, "palettize4", "9.0", "1.6.1", None),
        (PROGRAM, "palettize4", "7.0", "1.6.1", None),
        (PROGRAM, "palettize4", "6.3.0", "1.1.2", None),
        (
            *(PROGRAM, "palettize4", "6.3.0", "1.1.3"),
            "coremltools 6.3.0 takes no scikit-learn above 1.1.2 for k-means, and 1.1.3 is there",
        ),
        (NETWORK, "linear8", "4.0", None, None),
        (NETWORK, "linear4", "4.0", None, None),
        (NETWORK, "sparse50", "9.0", None, "coremltools prunes ML Programs only"),
        (NETWORK, "palettize4", "4.0", None, NO_SKLEARN),
        (NETWORK, "palettize4", "4.0", "0.19.2", None),
        (
            *(NETWORK, "palettize4", "5.0", "1.0"),
            "coremltools 5.0 takes no scikit-learn above 0.19.2 for k-means, and 1.0 is there",
        ),
        (NETWORK, "palettize4", "7.2", "1.4.2", None),
        # Installing scikit-learn would not help.
        (NETWORK, "palettize4", "8.0", None, f"coremltools 8.0 {LOST}"),
        (NETWORK, "palettize1", "9.0", "1.6.1", f"coremltools 9.0 {LOST}"),
        (NETWORK, "palettize1", "9.1", "1.6.1", None),
    ],
)
def test_what_a_coremltools_cannot_do(spec, compression, coremltools, sklearn, reason):
    assert unavailable(dataclasses.replace(spec, compression=compression), coremltools, sklearn) == reason
