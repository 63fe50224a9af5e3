"""The layers of the package hold, and the plugin costs nothing to those who do not use it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_imports_go_down_only():
    """The contract is in pyproject.toml; the command exits with 1 where an import breaks it."""
    command = "from importlinter.cli import lint_imports_command; lint_imports_command()"

    done = subprocess.run([sys.executable, "-c", command, "--no-cache"], cwd=ROOT, capture_output=True, text=True)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 kept, 0 broken" in done.stdout


def loaded(code):
    """Which of the heavy packages a fresh interpreter has loaded after some code."""
    heavy = ("tensorflow", "coremltools", "numpy", "hypothesis", "scipy", "ds_ctcdecoder", "python_speech_features")
    code += f"\nimport sys; print(*[name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.split("\n")[-2].split()


def test_importing_the_plugin_imports_nothing_heavy():
    assert loaded("import pytest_dscoreml.plugin") == []


def test_importing_the_commands_imports_nothing_heavy():
    assert loaded("import pytest_dscoreml.__main__") == []


def test_a_run_without_a_model_imports_nothing_heavy(tmp_path):
    """With no other plugin than ours: Hypothesis has one of its own."""
    (tmp_path / "test_nothing.py").write_text("def test_nothing():\n    pass\n")
    code = (
        "import os, pytest\n"
        "os.environ['PYTEST_DISABLE_PLUGIN_AUTOLOAD'] = '1'\n"
        f"assert pytest.main(['-p', 'pytest_dscoreml.plugin', '--rootdir', {str(tmp_path)!r}, '-c', os.devnull, "
        f"'-p', 'no:cacheprovider', {str(tmp_path)!r}]) == 0"
    )

    assert loaded(code) == []
