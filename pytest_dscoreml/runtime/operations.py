"""The operations that the runtime has, as a table: docs/operations.md is this text, and a test holds it to that.

Imports the runtime's registries and kernels.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from pytest_dscoreml.runtime import kernels
from pytest_dscoreml.runtime.program import MLPROGRAM
from pytest_dscoreml.runtime.registry import Registry, mil, nn

#: The first opset of ML Programs; operations that are older came with it.
FIRST_OPSET = 15
#: Operations of coremltools' registry, and layers of the format, that no kernel stands for.
BY_THE_EXECUTOR = {
    "mlprogram": {
        "cond": (FIRST_OPSET, "One of two blocks."),
        "while_loop": (FIRST_OPSET, "A block, as long as a condition holds."),
        "coreml_update_state": (18, "Written to files as ``write_state``."),
    },
    "neuralnetwork": {
        "branch": (0, "One of two networks."),
        "loop": (0, "A network, so many times or as long as a condition holds."),
        "loopBreak": (0, "The end of the innermost loop."),
        "loopContinue": (0, "The next pass of the innermost loop."),
    },
}
REFUSED = {
    "mlprogram": {"conv_quantized": (FIRST_OPSET, "coremltools' registry has it, and no front end or pass writes it.")},
    "neuralnetwork": {"custom": (0, "Code of the application's own, which the file does not hold.")},
}


def table() -> str:
    """The whole page, in Markdown."""
    assert kernels.mil_linear  # importing the package fills the registries
    return "\n".join(
        [
            "# Operations",
            "",
            "What `pytest_dscoreml.runtime` runs, as `python -m pytest_dscoreml operations` prints it from the kernels'",
            "registry. *Since* is the opset that brought the operation, or that version of it; an ML Program is run with",
            "the version that its own opset has. What is not supported is refused when a model is loaded.",
            "",
            "## ML Programs",
            "",
            *_rows(mil),
            "",
            "## Neural networks",
            "",
            "Parameters of each layer are those of the format's protobuf definition.",
            "",
            *_rows(nn),
            "",
        ]
    )


def _rows(registry: Registry) -> Iterator[str]:
    versions = registry.format == MLPROGRAM
    yield "| operation | supported | since | notes |" if versions else "| layer | supported | notes |"
    yield "|---|---|---|---|" if versions else "|---|---|---|"
    found = [(kernel.op, max(kernel.since, FIRST_OPSET), "yes", _note(kernel.function.__doc__)) for kernel in registry]
    found += [(op, since, "yes", note) for op, (since, note) in BY_THE_EXECUTOR[registry.format].items()]
    found += [(op, since, "**no**", note) for op, (since, note) in REFUSED[registry.format].items()]
    for op, since, supported, note in sorted(found, key=lambda row: (row[0].lower(), row[1])):
        # A bar inside a cell would end it.
        note = note.replace("``", "`").replace("|", "\\|")
        yield f"| `{op}` | {supported} | iOS {since} | {note} |" if versions else f"| `{op}` | {supported} | {note} |"


def _note(docstring: str | None) -> str:
    """The first paragraph of a docstring, in one line."""
    return " ".join(inspect.cleandoc(docstring or "").partition("\n\n")[0].split())
