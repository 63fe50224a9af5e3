"""The committed demo: its files fit together and its model transcribes its speech; and the program that makes it."""

from __future__ import annotations

import itertools
import json
import string
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

from pytest_dscoreml.errors import UsageError
from pytest_dscoreml.model.alphabet import ENGLISH, Alphabet
from pytest_dscoreml.model.frozen import read_geometry, read_graph, read_metadata
from pytest_dscoreml.speech.audio import read_wav
from pytest_dscoreml.speech.features import mfcc, windows

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
DEMO = FIXTURES / "demo"
GRAPHS = {"static.pb": 16, "dynamic.pb": -1}
MEGABYTE = 1_000_000


@pytest.fixture(autouse=True)
def _maker_is_importable(monkeypatch):
    monkeypatch.syspath_prepend(str(FIXTURES))


def read_table():
    return json.loads((DEMO / "transcripts.json").read_text(encoding="utf-8"))


def read_speech():
    return {row["transcript"]: read_wav(DEMO / row["file"]) for row in read_table()}


def test_the_folder_holds_these_files_and_no_others():
    named = {*GRAPHS, "alphabet.txt", "transcripts.json", *(row["file"] for row in read_table())}
    assert {path.name for path in DEMO.iterdir()} == named


def test_sizes():
    assert sum((DEMO / name).stat().st_size for name in GRAPHS) < 2 * MEGABYTE
    assert sum(path.stat().st_size for path in DEMO.iterdir()) < 2 * MEGABYTE


@pytest.mark.parametrize("row", read_table(), ids=lambda row: row["file"])
def test_speech_is_16_khz_mono_int16_of_the_length_in_the_table(row):
    with wave.open(str(DEMO / row["file"]), "rb") as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16000, 1, 2)
        assert round(file.getnframes() / 16000, 3) == row["seconds"]


def test_sentences_are_short_and_long_and_hold_every_label():
    table = read_table()
    seconds = sorted(row["seconds"] for row in table)
    assert len(table) >= 3
    assert seconds[0] < 2
    assert seconds[-1] > 8
    assert set("".join(row["transcript"] for row in table)) == set(string.ascii_lowercase + " '")


def test_alphabet_is_english_and_fits_the_graphs():
    assert Alphabet.from_file(DEMO / "alphabet.txt") == ENGLISH
    for name, n_steps in GRAPHS.items():
        graph = read_graph(DEMO / name)
        assert graph.n_steps == n_steps
        assert read_metadata(graph).alphabet == ENGLISH
        assert read_geometry(graph).n_classes == ENGLISH.n_classes


@pytest.mark.parametrize("name", GRAPHS)
def test_the_model_transcribes_its_speech_with_room_to_spare(name):
    from demo_evaluation import Graph, beam_text, greedy_text, margins

    graph = Graph(read_graph(DEMO / name).graph_def)
    for transcript, samples in read_speech().items():
        probabilities = graph.probabilities(windows(mfcc(samples)))
        assert greedy_text(probabilities, ENGLISH) == transcript
        assert beam_text(probabilities, ENGLISH) == transcript
        assert margins(probabilities).min() > 0.5


def test_dropping_the_state_is_heard():
    from demo_evaluation import Graph, greedy_text

    graph = Graph(read_graph(DEMO / "static.pb").graph_def)
    heard = {
        text: greedy_text(graph.probabilities(windows(mfcc(samples)), keep_state=False), ENGLISH)
        for text, samples in read_speech().items()
    }
    assert sum(text != got for text, got in heard.items()) >= len(heard) / 2


def test_activations_reach_well_beyond_a_wrong_clip():
    """The gate must notice a clip of 6 in place of 20: the demo's own speech has to pass 6."""
    import tensorflow as tf

    graph = tf.Graph()
    with graph.as_default():
        tf.import_graph_def(read_graph(DEMO / "dynamic.pb").graph_def, name="")
    clipped = [operation.outputs[0] for operation in graph.get_operations() if operation.type == "Minimum"]
    samples = max(read_speech().values(), key=len)
    with tf.compat.v1.Session(graph=graph) as session:
        fed = windows(mfcc(samples))[None]
        zero = np.zeros(graph.get_tensor_by_name("previous_state_c:0").shape, np.float32)
        layers = session.run(
            clipped,
            {
                "input_node:0": fed,
                "input_lengths:0": [fed.shape[1]],
                "previous_state_c:0": zero,
                "previous_state_h:0": zero,
            },
        )
    assert len(layers) == 4
    assert all(layer.max() > 6 for layer in layers)
    assert max(layer.max() for layer in layers) == 20


def test_transcripts_are_those_of_the_maker():
    from demo_speech import SENTENCES

    assert [(row["file"], row["transcript"]) for row in read_table()] == [
        (s.file_name, s.transcript) for s in SENTENCES
    ]


@pytest.mark.parametrize("labels", [[0], [1, 0], [0, 0], [0, 1, 0], [1, 1, 1]])
def test_best_alignment_is_the_likeliest_path_that_spells_the_labels(labels):
    from demo_training import best_alignment

    random = np.random.default_rng(len(labels))
    blank, n_frames = 2, 6
    for _ in range(20):
        logarithms = random.normal(size=(n_frames, blank + 1))
        paths = [
            path
            for path in itertools.product(range(blank + 1), repeat=n_frames)
            if [label for label, _ in itertools.groupby(path) if label != blank] == labels
        ]
        likeliest = max(paths, key=lambda path: logarithms[np.arange(n_frames), path].sum())
        assert best_alignment(logarithms, labels).tolist() == list(likeliest)


def test_training_learns_one_sentence():
    from demo_evaluation import Graph, greedy_text
    from demo_training import Plan, train

    from pytest_dscoreml.model.graph import build_graph
    from pytest_dscoreml.model.metadata import Metadata

    transcript, samples = min(read_speech().items(), key=lambda item: len(item[1]))
    plan = Plan(ctc_steps=200, firm_steps=100, rate=5e-3, copies=1, noise=0.1, dropout=0.0)
    lines: list[str] = []
    features = mfcc(samples)
    labels = ENGLISH.encode(transcript)
    weights = train([features], [labels], n_classes=ENGLISH.n_classes, plan=plan, progress=lines.append)
    graph = Graph(build_graph(weights, Metadata(), n_steps=16))
    assert greedy_text(graph.probabilities(windows(features)), ENGLISH) == transcript
    said = [line.split(":")[0] for line in lines]
    assert said == ["CTC, step 100 of 200", "CTC, step 200 of 200", "alignment, step 100 of 100"]


def test_without_espeak_the_maker_says_how_to_install_it(monkeypatch):
    import demo_speech

    monkeypatch.setenv("PATH", "")
    with pytest.raises(UsageError, match=r"espeak-ng is not installed.*apt-get install espeak-ng"):
        demo_speech.synthesise(demo_speech.SENTENCES[0], seed=0)


def run_maker(*arguments):
    root = FIXTURES.parent
    command = [sys.executable, str(FIXTURES / "make_demo.py"), *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=root, env={"PYTHONPATH": str(root), "PATH": ""}
    )


def test_the_maker_leaves_a_folder_alone_that_is_not_the_demo(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    done = run_maker("--output", tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"make_demo.py: --output {tmp_path} holds thesis.txt, which is not the demo's; name another folder\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_the_maker_that_fails_leaves_nothing_behind(tmp_path):
    done = run_maker("--output", tmp_path / "demo")
    assert done.returncode == 2
    assert done.stderr.startswith("make_demo.py: espeak-ng is not installed")
    assert list(tmp_path.iterdir()) == []


def test_check_names_what_is_missing(tmp_path):
    done = run_maker("--check", "--output", tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(f"make_demo.py: {tmp_path} has no static.pb, dynamic.pb, alphabet.txt")
    assert "Traceback" not in done.stderr
