"""Progress of long work: whole lines in a log, one that is rewritten on a terminal, nothing under `-q`; results unchanged."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib import metadata

import pytest

TOLD = re.compile(r"dscoreml: (.+), \d+ s")
#: A test need not wait for as long as a user is not told of anything.
QUICKER = """
    from pytest_dscoreml import progress

    progress.FIRST_SECONDS = 0.3
    progress.LIVE_SECONDS = progress.Live.seconds = progress.Lines.seconds = {seconds}
    progress._LOOK_SECONDS = {seconds} / 2
"""
SLOW = """
    import time

    def test_slow(dscoreml_engine):
        time.sleep(1.5)

    def test_quick(dscoreml_engine):
        pass
"""


@pytest.fixture(autouse=True)
def quicker(pytester):
    pytester.makeconftest(QUICKER.format(seconds=0.3))


@pytest.fixture
def slow_converter(script):
    """A converter that takes its time before it begins."""
    return script(f'[ "$2" = --versions ] || sleep 1.5\nexec {sys.executable} "$@"', "slow")


@pytest.fixture
def slow_test(pytester):
    """A test of a conversion that takes longer than is waited for."""
    return pytester.makepyfile(test_mine=SLOW).name


def told(result):
    """What is told of, in the order of the lines."""
    return [match[1] for match in map(TOLD.fullmatch, result.outlines) if match]


def above(result, number):
    """The line above a line that tells of something, and above those before it: the first test may have to convert."""
    while result.outlines[number].startswith("dscoreml: "):
        number -= 1
    return result.outlines[number]


def ending(result):
    """The output from the summary on, but for how long it took."""
    (start,) = [number for number, line in enumerate(result.outlines) if " on the reference engine " in line]
    return result.outlines[start:-1]


def test_a_slow_converter_in_a_log(gate, slow_converter, tmp_path, pytester):
    """Whole lines with the time that has passed, between pytest's own, which go on; the results are those of a silent run."""
    # A phase of a conversion may be over in half a second.
    pytester.makeconftest(QUICKER.format(seconds=0.05))
    options = (f"--dscoreml-converter={slow_converter}", "-k", "test_names or test_states")
    result = gate(*options, cache=tmp_path / "cache", process=True)
    result.assert_outcomes(passed=2)
    text = result.stdout.str()
    version = metadata.version("coremltools")
    assert f"starting the converter (coremltools {version}, {slow_converter})" in told(result)
    assert "converting dynamic-mlprogram-float32 (1 of 1): convert" in told(result)
    assert "\x1b" not in text
    assert "\r" not in text
    # Each of our lines is one of its own, and the dot that came after has its file in front of it.
    assert text.count("dscoreml: ") == len(told(result)) + 1  # and the title of the summary
    assert re.search(r"(?m)^test_interface\.py +\. +\[ 50%\]$", text)
    again = gate(*options, "-q", cache=tmp_path / "cache", process=True)
    assert told(again) == []
    assert ending(again) == ending(result)


def test_silent_under_q_from_the_first_on(gate, slow_converter, tmp_path, slow_test):
    result = gate("-q", f"--dscoreml-converter={slow_converter}", slow_test, cache=tmp_path / "cache", process=True)
    result.assert_outcomes(passed=2)
    assert [line for line in result.outlines if line.startswith("dscoreml:")] == []


def test_a_slow_test_is_told_of_and_pytests_line_goes_on(gate, slow_test):
    result = gate(slow_test, process=True)
    result.assert_outcomes(passed=2)
    assert "running test_slow[dynamic-mlprogram-float32]" in told(result)
    lines = [number for number, line in enumerate(result.outlines) if "running test_slow" in line]
    assert above(result, lines[0]) == "test_mine.py "
    assert re.fullmatch(r"test_mine\.py \.\. +\[100%\]", result.outlines[lines[-1] + 1])


def test_with_v_the_test_is_named_again_before_its_verdict(gate, slow_test):
    result = gate(slow_test, "-v", process=True)
    name = "test_mine.py::test_slow[dynamic-mlprogram-float32] "
    lines = [number for number, line in enumerate(result.outlines) if "running test_slow" in line]
    assert above(result, lines[0]) == name
    assert re.fullmatch(rf"{re.escape(name)}PASSED +\[ 50%\]", result.outlines[lines[-1] + 1])


def test_others_slow_tests_are_none_of_our_business(gate, pytester):
    pytester.makepyfile(test_other="import time\n\ndef test_other(): time.sleep(1)")
    result = gate("test_other.py", process=True)
    result.assert_outcomes(passed=1)
    assert not [line for line in told(result) if "test_other" in line]


@pytest.mark.parametrize("verbose", [(), ("-v",)])
def test_of_workers_the_controller_tells(gate, slow_test, verbose):
    """They have no terminal: which of their tests takes long is known to who hands them out."""
    result = gate(slow_test, "-n", "2", *verbose, process=True)
    result.assert_outcomes(passed=2)
    assert "running test_slow[dynamic-mlprogram-float32]" in told(result)
    between = [line for line in result.outlines if line.startswith("dscoreml: running")]
    assert len(between) == len([line for line in told(result) if line.startswith("running")])
    if verbose:
        assert re.search(r"(?m)^\[gw\d\] \[ *\d+%\] PASSED test_mine\.py::test_slow\[", result.stdout.str())
    else:
        # Dots go on in the column where they were interrupted.
        assert re.search(r"(?m)^ *\.{1,2} +\[100%\]$", result.stdout.str())


def test_of_workers_nothing_under_q(gate, slow_test):
    result = gate(slow_test, "-n", "2", "-q", process=True)
    result.assert_outcomes(passed=2)
    assert told(result) == []


# -- a terminal --------------------------------------------------------------------------------------------------------


@pytest.fixture
def terminal(pytester, conversions):
    """Run a gate in a terminal of 90 columns; gives all that was written to it."""

    def run(*args):
        import fcntl
        import struct
        import termios

        ours, theirs = os.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 90, 0, 0))
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--dscoreml-model=demo"]
        command += ["--dscoreml-variant=dynamic", "--dscoreml-target=mlprogram", "--dscoreml-precision=float32"]
        command += [f"--dscoreml-cache-dir={conversions}", *args]
        environment = {**os.environ, "TERM": "xterm"}
        environment.pop("COLUMNS", None)
        # What TensorFlow has to say on stderr is none of what is looked at here.
        process = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL, cwd=pytester.path, env=environment
        )
        os.close(theirs)
        written = b""
        while True:
            try:
                piece = os.read(ours, 4096)
            except OSError:  # on Linux, how a terminal ends
                break
            if not piece:
                break
            written += piece
        os.close(ours)
        assert process.wait() == 0, written.decode()
        return written.decode()

    return run


def screen(written):
    """The lines that are left on a terminal, of the few things that are written to it here."""
    lines, row, column = [""], 0, 0
    for piece in re.findall(r"\x1b\[\d*(?:;\d+)*[A-Za-z]|\r|\n|[^\x1b\r\n]+", written):
        if piece == "\r":
            column = 0
        elif piece == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif piece == "\x1b[K":
            lines[row] = lines[row][:column]
        elif piece == "\x1b[A":
            row -= 1
        elif re.fullmatch(r"\x1b\[\d+C", piece):
            column += int(piece[2:-1])
        elif piece.startswith("\x1b"):
            assert piece.endswith("m"), repr(piece)
        else:
            lines[row] = (lines[row][:column].ljust(column) + piece + lines[row][column + len(piece) :]).rstrip()
            column += len(piece)
    return lines


def test_on_a_terminal_one_line_that_is_gone_at_the_end(terminal, slow_test):
    written = terminal(slow_test)
    assert re.search(r"\n\rdscoreml: running test_slow\[dynamic-mlprogram-float32\], \d s\x1b\[K", written)
    left = screen(written)
    assert not [line for line in left if line.startswith("dscoreml: ") and TOLD.fullmatch(line)]
    (line,) = [line for line in left if line.startswith("test_mine.py")]
    assert re.fullmatch(r"test_mine\.py \.\. +\[100%\]", line)


def test_where_tests_write_to_the_terminal_too_nothing_is_rewritten(terminal, slow_test):
    written = terminal(slow_test, "-s")
    assert "dscoreml: running test_slow[dynamic-mlprogram-float32], 1 s\r\n" in written
    assert "\x1b[A" not in written


def test_a_debuggers_terminal_is_left_alone(pytester, conversions):
    """Somebody thinks for a while; what is typed comes from a pipe here."""
    pytester.makepyfile(
        test_mine="""
        import pytest

        def test_slow(dscoreml_engine):
            pytest.set_trace()
        """
    )
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--dscoreml-model=demo", "test_mine.py"]
    command += ["--dscoreml-variant=dynamic", "--dscoreml-target=mlprogram", "--dscoreml-precision=float32"]
    command += [f"--dscoreml-cache-dir={conversions}"]
    typed = "import time; time.sleep(1.5)\nc\n"
    done = subprocess.run(command, input=typed, capture_output=True, text=True, cwd=pytester.path, check=False)
    assert done.returncode == 0, done.stdout
    assert "(Pdb)" in done.stdout
    assert "running test_slow" not in done.stdout
