"""Conversions are made once: found again later, shared by processes that run at once, whole after a kill."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sys
import time

import pytest

from pytest_dscoreml.conversion.variants import ConversionSpec, default_specs, select

ONE = select(["static"], ["mlprogram"], ["float32"])
COUNTING = """
with open({made!r} + ".pids", "a") as file:
    file.write(str(os.getpid()) + "\\n")
for job in request["jobs"]:
    begin(job)
    with open({made!r}, "a") as file:
        file.write(job["id"] + "\\n")
    time.sleep({seconds})
    finish(job)
say(event="finished")
"""


@pytest.fixture
def made(tmp_path):
    """Read which conversions a COUNTING fake has begun, in order."""

    def read():
        path = tmp_path / "made"
        return path.read_text().split() if path.exists() else []

    return read


@pytest.fixture
def workers(tmp_path):
    """Read the process numbers of the COUNTING fakes."""
    return lambda: [int(number) for number in (tmp_path / "made.pids").read_text().split()]


@pytest.fixture
def counting(fake, tmp_path):
    return lambda seconds=0.0: fake(COUNTING.format(made=str(tmp_path / "made"), seconds=seconds))


def answer(process):
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return json.loads(out)


def test_the_second_call_finds_all_of_the_first(run, counting, made):
    first = run(counting())
    second = run(counting())

    assert made() == [spec.name for spec in default_specs()] == list(first) == list(second)
    for name, conversion in second.items():
        assert conversion.cached
        assert not first[name].cached
        assert (conversion.key, conversion.path) == (first[name].key, first[name].path)
        assert (conversion.seconds, conversion.size) == (first[name].seconds, first[name].size)


def test_what_the_conversion_tells(run, counting):
    conversion = run(counting(), specs=ONE)["static-mlprogram-float32"]

    assert conversion.path.name == "model.mlpackage"
    assert (conversion.path / "Data" / "model.mlmodel").read_text() == "the program of static-mlprogram-float32"
    assert conversion.seconds == 0.25
    assert conversion.size == len("the manifest of the program of " + 2 * conversion.spec.name)
    assert conversion.op_counts == {"linear": 6}
    assert conversion.warnings == ()
    assert conversion.versions == {
        "python": "3.7.0",
        "coremltools": "1.2",
        "tensorflow": "3.4",
        "numpy": "5.6",
        "protobuf": "7.8",
    }


@pytest.mark.parametrize("change", ["graph", "version", "fingerprint", "n_steps", "longest", "window"])
def test_another_question_is_another_conversion(run, fake, counting, graphs, made, change, tmp_path):
    dynamic = select(["dynamic", "pinned"], ["mlprogram"], ["float16"])
    run(counting(), specs=dynamic)
    options, python = {}, counting()
    if change == "graph":
        graphs["dynamic"].write_text("another graph")
    elif change == "version":
        python = fake(COUNTING.format(made=str(tmp_path / "made"), seconds=0), numpy="5.7")
    elif change == "fingerprint":
        python = fake(COUNTING.format(made=str(tmp_path / "made"), seconds=0), fingerprint="beef")
    else:
        options = {change: {"n_steps": 32, "longest": 2001, "window": (5, 26)}[change]}
    again = {"n_steps": ["pinned"], "longest": ["dynamic"]}.get(change, ["dynamic", "pinned"])

    run(python, specs=dynamic, **options)

    assert made()[2:] == [f"{variant}-mlprogram-float16" for variant in again]


def test_operations_kept_in_float32_are_part_of_the_question(run, fake, made, tmp_path):
    """Which they are, not in which order; what the converter chose from is kept with the file."""
    asked = [{"name": "a/b", "type": "mul", "inputs": ["x"], "outputs": ["a/b"]}]
    python = fake(
        "for job in request['jobs']:\n"
        "    begin(job)\n"
        f"    open({str(tmp_path / 'made')!r}, 'a').write('-'.join(job.get('float32_operations', ['none'])) + '\\n')\n"
        f"    finish(job, **({{'selectable': {asked!r}}} if 'float32_operations' in job else {{}}))\n"
        "say(event='finished')\n"
    )
    plain = ConversionSpec("static", "mlprogram", "float16")
    for kept in (None, ("a",), ("a", "b"), ("b", "a")):
        spec = dataclasses.replace(plain, float32_operations=kept)
        conversion = run(python, specs=[spec])[spec.name]
        assert [one.to_json() for one in conversion.selectable] == ([] if kept is None else asked)

    assert made() == ["none", "a", "a-b"]


def test_a_damaged_entry_is_made_again(run, counting, made, lines, cache):
    (run(counting(), specs=ONE)["static-mlprogram-float32"].path / "Manifest.json").write_text("gone bad")

    conversion = run(counting(), specs=ONE)["static-mlprogram-float32"]

    damage = "(model.mlpackage/Manifest.json is not the file that was stored)"
    assert made() == ["static-mlprogram-float32"] * 2
    assert (conversion.path / "Manifest.json").read_text() == "the manifest of static-mlprogram-float32"
    assert not conversion.cached
    assert conversion.warnings == (f"the cached conversion was damaged {damage} and was made again",)
    assert f"static-mlprogram-float32: the cached conversion is damaged {damage}; making it again" in lines
    assert run(counting(), specs=ONE)["static-mlprogram-float32"].cached


def test_processes_that_ask_at_once_make_each_conversion_once(ask, counting, made, cache, whole):
    names = [spec.name for spec in default_specs()]
    python = counting(0.15)

    # Overlapping wishes in different orders.
    wishes = [names, names[::-1], names[3:7], names]
    answers = [answer(process) for process in [ask(python, wish) for wish in wishes]]

    assert sorted(made()) == sorted(names)
    for wish, told in zip(wishes, answers):
        assert list(told) == wish
        assert all(told[name][0] == answers[0][name][0] for name in wish)
    for name in names:
        assert [told[name][1] for told in answers if name in told].count(False) == 1
    assert len(whole()) == 9


def test_waiting_is_told(ask, counting, made, run, lines, until):
    python = counting(3.5)
    other = ask(python, [ONE[0].name])
    until(made)

    results = run(python, specs=ONE)

    assert answer(other)["static-mlprogram-float32"][1] is False
    assert results["static-mlprogram-float32"].cached
    assert lines == ["waiting for another process that converts static-mlprogram-float32"]


@pytest.mark.parametrize("moment", [0.0, 0.03, 0.07, 0.11, 0.16, 0.23])
def test_a_kill_at_any_moment_leaves_whole_entries_only(
    ask, counting, made, run, cache, whole, until, workers, ended, moment
):
    names = [spec.name for spec in default_specs()]
    process = ask(counting(0.02), names)
    until(made)
    time.sleep(moment)
    process.send_signal(signal.SIGKILL)
    process.wait()
    finished = whole()

    results = run(counting())

    assert [name for name, conversion in results.items() if conversion.cached] == [
        name for name in names if results[name].key in finished
    ]
    assert len(whole()) == 9
    # Unlike the real worker, the fake one outlives its parent, and would write while its folder is removed.
    until(lambda: all(map(ended, workers())))
    cache.sweep(older_than=-10.0)
    assert list((cache.directory / "aside").iterdir()) == []


def test_the_worker_ends_when_the_process_that_started_it_is_killed(ask, script, stubs, tmp_path, ended, until):
    """With the real worker, in which a conversion takes for ever."""
    stubs(
        tensorflow="""
            __version__ = "2.0"
            class GraphDef:
                node = ()
                def ParseFromString(self, data): pass
            class compat:
                class v1:
                    GraphDef = GraphDef
        """,
        coremltools=f"""
            import os, time
            __version__ = "9.0"
            def convert(model, **options):
                with open({str(tmp_path / "pid.new")!r}, "w") as file:
                    file.write(str(os.getpid()))
                os.rename({str(tmp_path / "pid.new")!r}, {str(tmp_path / "pid")!r})
                time.sleep(100)
        """,
    )
    environment = os.environ["PYTHONPATH"]
    text = f"""
        import os, sys
        os.environ["PYTHONPATH"] = {environment!r}
        os.execv({sys.executable!r}, [{sys.executable!r}, *sys.argv[1:]])
    """
    process = ask(script(text), ["static-neuralnetwork-float32"])
    until((tmp_path / "pid").exists)
    worker = int((tmp_path / "pid").read_text())
    assert not ended(worker)

    process.send_signal(signal.SIGKILL)
    process.wait()

    until(lambda: ended(worker), seconds=5.0)
