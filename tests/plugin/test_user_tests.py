"""The fixtures in a user's own tests."""

from __future__ import annotations

import pytest

#: The conversion that `gate` selects where it is not told otherwise.
ONE_NAME = "dynamic-mlprogram-float32"


FIXTURES = '''
    import numpy as np
    import pytest
    from hypothesis import given

    import pytest_dscoreml


    def test_model_and_graphs(dscoreml_model, dscoreml_graphs):
        assert dscoreml_model.name == "demo"
        assert dscoreml_model.geometry.n_hidden == 64
        assert dscoreml_model.n_steps == 16
        assert sorted(dscoreml_graphs) == ["dynamic", "static"]
        assert all(graph.path.is_file() and not graph.exported for graph in dscoreml_graphs.values())


    def test_conversion(dscoreml_conversion):
        assert dscoreml_conversion.path.exists()
        assert "while_loop" in dscoreml_conversion.op_counts


    def test_engine_against_reference(dscoreml_engine, dscoreml_reference, dscoreml_recording, dscoreml_tolerances):
        from pytest_dscoreml.engines.streaming import recognise

        windows = dscoreml_recording.windows[:40]
        expected, obtained = (recognise(engine, windows) for engine in (dscoreml_reference, dscoreml_engine))
        assert expected.logits.shape == (40, 29)
        assert np.abs(expected.logits - obtained.logits).max() <= dscoreml_tolerances.probabilities.limit(1.0)


    def test_stream_and_decoder(dscoreml_stream, dscoreml_recording, dscoreml_decoder):
        """Apple's example: partial transcriptions while the audio comes in."""
        windows = dscoreml_recording.windows
        partial = []
        for start in range(0, len(windows), 16):
            dscoreml_stream.feed(windows[start : start + 16])
            partial.append(dscoreml_decoder.decode(dscoreml_stream.outputs.logits).text)
        assert partial[-1] == dscoreml_recording.utterance.transcript
        assert len(partial) == -(-len(windows) // 16)
        assert len(partial[0]) < len(partial[-1])


    def test_a_stream_starts_afresh(dscoreml_stream):
        assert not dscoreml_stream.state.c.any()
        dscoreml_stream.feed(np.ones((3, 19, 26), np.float32))
        assert dscoreml_stream.state.c.any()


    def test_stream_of_another_test(dscoreml_stream):
        assert not dscoreml_stream.state.c.any()


    def test_comparison(dscoreml_comparison, dscoreml_engine, dscoreml_reference, dscoreml_recording):
        from pytest_dscoreml.engines.streaming import recognise

        windows = dscoreml_recording.windows[:20]
        expected, obtained = (recognise(engine, windows) for engine in (dscoreml_reference, dscoreml_engine))
        dscoreml_comparison.outputs(expected=expected, obtained=obtained, case="my own")


    def test_drawn(dscoreml_cases, dscoreml_check, dscoreml_material, dscoreml_engine, dscoreml_comparison):
        from pytest_dscoreml.engines.streaming import recognise

        seen = []

        @given(case=dscoreml_cases)
        def twice_the_same(case):
            seen.append(case.length)
            once, again = (recognise(dscoreml_engine, dscoreml_material.windows(case)) for _ in range(2))
            dscoreml_comparison.outputs(expected=once, obtained=again, case=case)

        dscoreml_check(twice_the_same)
        assert len(seen) == 3
        assert max(seen) <= 20
'''


def test_all_fixtures(gate, pytester, summary):
    pytester.makepyfile(test_mine=FIXTURES)
    options = ("--dscoreml-max-examples=3", "--dscoreml-max-steps=20", "test_mine.py")
    result = gate(*options)
    # Of four recordings: 4 x engine, stream, comparison.
    result.assert_outcomes(passed=5 + 3 * 4)
    row = summary(result)[ONE_NAME]
    assert (row["verdict"], row["tests"], row["examples"], row["longest"]) == ("passed", "16/16", "7", "20")


def test_variants(gate, pytester):
    """Once for each target and precision, with the engines of its variants."""
    pytester.makepyfile(
        test_mine="""
        def test_variants(dscoreml_variants, dscoreml_comparisons):
            assert list(map(str, dscoreml_variants)) == list(map(str, dscoreml_comparisons)) == ["static", "dynamic"]
            assert [engine.n_steps for engine in dscoreml_variants.values()] == [16, None]
        """
    )
    result = gate("test_mine.py", "--dscoreml-variant=static,dynamic", "--dscoreml-target=mlprogram", "-v")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["test_mine.py::test_variants?mlprogram-float32? PASSED*"])


def test_a_failing_comparison_of_the_users(gate, pytester, summary):
    """What it measured is in the summary too; their own assertions keep pytest's report."""
    pytester.makepyfile(
        test_mine="""
        def test_compared(dscoreml_comparison, dscoreml_engine, dscoreml_recording):
            from dataclasses import replace
            from pytest_dscoreml.engines.streaming import recognise

            expected = recognise(dscoreml_engine, dscoreml_recording.windows[:4])
            dscoreml_comparison.outputs(expected=expected, obtained=replace(expected, logits=1 - expected.logits))

        def test_asserted(dscoreml_engine):
            assert dscoreml_engine.n_steps == 17
        """
    )
    result = gate("test_mine.py", "-k", "asserted or thats_what_i_said")
    result.assert_outcomes(failed=2)
    row = summary(result)[ONE_NAME]
    assert (row["verdict"], row["tests"], row["examples"], row["longest"]) == ("failed", "0/2", "1", "4")
    assert float(row["logits"]) > 0.5
    result.stdout.fnmatch_lines(
        [
            "probabilities (logits) ?dynamic, mlprogram, float32, T=4? differ: 116 of 116 values, max abs 1, first at frame 0",
            ">       assert dscoreml_engine.n_steps == 17",
        ]
    )


@pytest.mark.parametrize("request_", ["dscoreml_engine", "dscoreml_variants", "dscoreml_recording", "dscoreml_model"])
def test_without_a_model_they_skip(pytester, request_):
    pytester.makepyfile(f"def test_mine({request_}): assert False")
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider", "-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*: no model to gate: give --dscoreml-model=PATH or --dscoreml-model=demo"])
