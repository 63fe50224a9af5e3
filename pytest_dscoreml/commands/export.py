"""`export`: writes the inference graph of a checkpoint, as DeepSpeech's own script does with the same options."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pytest_dscoreml.errors import ModelError, UsageError

GRAPH_NAME = "output_graph.pb"
LARGEST_INT32 = 2**31 - 1


def add_to(commands: Any) -> None:
    """Describe the command to argparse; the options carry the names they have in DeepSpeech."""
    parser = commands.add_parser("export", help="write the inference graph of a DeepSpeech checkpoint")
    parser.add_argument("--export_dir", required=True, type=Path, metavar="DIR", help=f"where to write {GRAPH_NAME}")
    parser.add_argument(
        "--checkpoint_dir",
        required=True,
        type=Path,
        metavar="PATH",
        help="TensorFlow checkpoint: its directory or prefix",
    )
    parser.add_argument(
        "--n_steps", type=int, default=16, metavar="N", help="steps of a call; -1: any number (default: 16)"
    )
    parser.add_argument(
        "--alphabet_config_path", type=Path, metavar="FILE", help="the model's alphabet.txt (default: English)"
    )
    parser.add_argument(
        "--export_beam_width", type=int, default=500, metavar="N", help="stored in the graph (default: 500)"
    )
    parser.add_argument("--export_language", metavar="TAG", help="stored in the graph, for instance en-US")
    parser.add_argument(
        "--scorer_path",
        metavar="FILE",
        help="accepted for DeepSpeech's sake: no part of the graph, give it to the decoder",
    )
    parser.set_defaults(run=run)


def run(given: argparse.Namespace) -> None:
    """Write the graph, whole or not at all.

    Raises:
        UsageError: the checkpoint, the alphabet or the number of steps cannot be used, or the file not be written.
    """
    from pytest_dscoreml.files import write_whole
    from pytest_dscoreml.model.alphabet import ENGLISH, Alphabet
    from pytest_dscoreml.model.checkpoint import checkpoint_prefix, read_checkpoint
    from pytest_dscoreml.model.graph import check_alphabet
    from pytest_dscoreml.model.loading import serialized_graph
    from pytest_dscoreml.model.metadata import Metadata
    from pytest_dscoreml.progress import on_stderr

    if not 1 <= given.export_beam_width <= LARGEST_INT32:
        raise UsageError(f"--export_beam_width {given.export_beam_width}: expected a whole number from 1, of 32 bits")
    alphabet = ENGLISH if given.alphabet_config_path is None else Alphabet.from_file(given.alphabet_config_path)
    prefix = checkpoint_prefix(given.checkpoint_dir)
    if prefix is None:
        raise ModelError(
            f"--checkpoint_dir {given.checkpoint_dir}: no TensorFlow checkpoint there; give its directory or prefix"
        )
    metadata = Metadata(beam_width=given.export_beam_width, alphabet=alphabet, language=given.export_language)
    path = given.export_dir / GRAPH_NAME
    with on_stderr().task(f"reading checkpoint {prefix}") as task:
        weights = read_checkpoint(prefix)
        check_alphabet(metadata, weights.geometry, source=f"checkpoint {prefix}")
        task.at(what="making the graph")
        data = serialized_graph(weights, metadata, n_steps=given.n_steps)
    try:
        write_whole(path, data)
    except OSError as error:
        raise UsageError(
            f"--export_dir {given.export_dir}: cannot be written ({error.strerror}); give another"
        ) from None
    print(f"wrote {path}: {len(data)} bytes, {'any number of' if given.n_steps == -1 else given.n_steps} steps")
    if given.scorer_path is not None:
        print("the scorer is no part of the graph; give it to the gate with --dscoreml-scorer")
