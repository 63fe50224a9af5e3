"""docs/guide.md: its code runs from top to bottom and prints what the page shows."""

import contextlib
import io
import re
from pathlib import Path

GUIDE = Path(__file__).parents[2] / "docs" / "guide.md"


def test_the_guide_prints_what_it_shows(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    blocks = re.findall(r"```(python|text)\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    names, compared = {}, 0
    for (kind, code), (following, shown) in zip(blocks, [*blocks[1:], ("", "")]):
        if kind == "text":
            continue
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(code, names)
        if following == "text":
            compared += 1
            assert [line.rstrip() for line in printed.getvalue().splitlines()] == shown.splitlines()
    assert compared == 6
