"""The list of operations is complete, and docs/operations.md is that list."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pytest_dscoreml.__main__ import main
from pytest_dscoreml.runtime import proto
from pytest_dscoreml.runtime.operations import BY_THE_EXECUTOR, REFUSED, table
from pytest_dscoreml.runtime.registry import mil, nn

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"


def test_the_page_is_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["operations"]) == 0
    assert PAGE.read_text() == capsys.readouterr().out, "run: python -m pytest_dscoreml operations > docs/operations.md"


def test_every_row_has_a_note() -> None:
    rows = [line for line in table().splitlines() if line.startswith("| `")]
    assert len(rows) >= len(list(mil)) + len(list(nn))
    assert [row for row in rows if re.search(r"\|\s*\|$", row)] == []


def test_every_operation_of_coremltools_is_listed() -> None:
    from coremltools.converters.mil.mil.ops.registry import SSAOpRegistry

    listed = {kernel.op for kernel in mil} | set(BY_THE_EXECUTOR["mlprogram"]) | set(REFUSED["mlprogram"])
    # A placeholder of the converter's own, which no file holds.
    known = set(SSAOpRegistry.core_ops) | {op for op in SSAOpRegistry.dialect_ops if op.startswith("coreml_")}
    known -= {"_const_symbolic"}
    assert known - listed == set()
    assert listed - known - {"write_state"} == set()


def test_every_layer_of_the_format_is_listed() -> None:
    listed = {kernel.op for kernel in nn} | set(BY_THE_EXECUTOR["neuralnetwork"]) | set(REFUSED["neuralnetwork"])
    layers = {name for name in proto.layer_messages() if name != "activation"}
    assert layers | {f"activation.{name}" for name in proto.activation_messages()} == listed
