"""`@pytest.mark.dscoreml(variants=..., targets=..., precisions=...)`: for which conversions a test runs."""

from __future__ import annotations

import pytest

HELP = (
    "dscoreml(variants=..., targets=..., precisions=...): run this test only for conversions with one of the named variants, "
    "targets and precisions; what is left out stays unrestricted"
)


def collect(gate, pytester, marker, *args):
    pytester.makepyfile(
        test_mine=f"""
        import pytest

        @pytest.mark.dscoreml({marker})
        def test_mine(dscoreml_conversion): pass
        """
    )
    return gate("test_mine.py", "--collect-only", "-q", *args, select=())


@pytest.mark.parametrize(
    ("marker", "expected"),
    [
        ("", 9),
        ("variants=['dynamic']", 3),
        ("variants='dynamic'", 3),
        ("variants=['dynamic', 'static'], targets=['mlprogram']", 4),
        ("targets=('neuralnetwork',)", 3),
        ("precisions={'float16'}", 3),
        ("variants='pinned', targets='mlprogram', precisions='float16'", 1),
    ],
)
def test_how_often_it_runs(gate, pytester, marker, expected):
    result = collect(gate, pytester, marker)
    assert result.ret == 0
    names = [line for line in result.outlines if "::test_mine[" in line]
    assert len(names) == expected
    assert len(set(names)) == expected


@pytest.mark.parametrize(
    ("marker", "words"),
    [
        ("'dynamic'", HELP),
        ("variant=['dynamic']", HELP),
        ("variants=['other']", "marker dscoreml: unknown variant 'other': choose from static, dynamic, pinned"),
        ("targets='mlmodel'", "marker dscoreml: unknown target 'mlmodel': choose from neuralnetwork, mlprogram"),
        ("precisions=[16]", "marker dscoreml: unknown precision '16': choose from float32, float16"),
        ("precisions=16", HELP),
        (
            "variants=[['dynamic']]",
            "marker dscoreml: unknown variant \"['dynamic']\": choose from static, dynamic, pinned",
        ),
        (
            "targets=['neuralnetwork'], precisions=['float16']",
            "marker dscoreml: nothing to convert: variants static, dynamic, pinned, targets neuralnetwork, precisions float16 "
            "leave no conversion (a neuralnetwork exists in float32 only)",
        ),
    ],
)
def test_wrong_arguments(gate, pytester, marker, words):
    result = collect(gate, pytester, marker)
    assert result.ret in (pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.INTERRUPTED)
    output = result.stdout.str() + result.stderr.str()
    assert "Traceback" not in output
    assert f"test_mine.py::test_mine: {words}" in output


def test_markers_of_class_and_test_both_narrow(gate, pytester):
    pytester.makepyfile(
        test_mine="""
        import pytest

        @pytest.mark.dscoreml(variants=["static", "dynamic"])
        class TestMine:
            @pytest.mark.dscoreml(variants=["dynamic", "pinned"], precisions=["float32"])
            def test_mine(self, dscoreml_conversion): pass
        """
    )
    result = gate("test_mine.py", "--collect-only", "-q", select=())
    assert [line.partition("[")[2] for line in result.outlines if "::test_mine" in line] == [
        "dynamic-neuralnetwork-float32]",
        "dynamic-mlprogram-float32]",
    ]


def test_what_is_not_selected_is_skipped_with_a_reason(gate, pytester):
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.dscoreml(variants="static")
        def test_mine(dscoreml_conversion): assert False
        """
    )
    result = gate("-rs", "--dscoreml-suite=off")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*: no selected conversion is of the kinds that the dscoreml marker names"])
