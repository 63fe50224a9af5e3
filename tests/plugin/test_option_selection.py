"""`--dscoreml-variant`, `--dscoreml-target`, `--dscoreml-precision`: which conversions are made and tested."""

from __future__ import annotations

import re

import pytest

from pytest_dscoreml.conversion.variants import default_specs

ALL = {spec.name for spec in default_specs()}


def conversions(result):
    """The conversions that `test_names` was collected for."""
    return {found for line in result.outlines for found in re.findall(r"::test_names\[(.+)\]$", line)}


@pytest.mark.parametrize(
    ("args", "admits"),
    [
        ([], ""),
        (["--dscoreml-variant=static"], "static-"),
        (["--dscoreml-variant=pinned,static"], "(pinned|static)-"),
        (["--dscoreml-target=neuralnetwork"], ".*-neuralnetwork-"),
        (["--dscoreml-target= mlprogram , neuralnetwork"], ""),
        (["--dscoreml-precision=float16"], ".*-float16"),
        (["--dscoreml-precision=float32", "--dscoreml-variant=dynamic"], "dynamic-.*-float32"),
    ],
)
def test_selection(gate, args, admits):
    result = gate("--collect-only", "-q", "-k", "test_names", *args, select=())
    assert conversions(result) == {name for name in ALL if re.match(admits, name)}


def test_only_what_is_tested_is_converted(gate, tmp_path):
    """A cache of its own holds one entry after a run of one test of one conversion, though two are selected."""
    cache = tmp_path / "cache"
    result = gate("-k", "test_names and static", "--dscoreml-variant=static,dynamic", cache=cache)
    result.assert_outcomes(passed=1)
    assert len(list((cache / "entries").iterdir())) == 1


def test_empty_selection(refusal):
    message = refusal("--dscoreml-target=neuralnetwork", "--dscoreml-precision=float16", select=())
    assert message == (
        "nothing to convert: variants static, dynamic, pinned, targets neuralnetwork, precisions float16 leave no conversion "
        "(a neuralnetwork exists in float32 only)"
    )


def test_agreement_of_one_variant_is_skipped_with_the_reason(gate):
    result = gate("-k", "test_variants_agree", "-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED *: agreement of variants needs two or more of them (--dscoreml-variant)"])
