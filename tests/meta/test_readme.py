"""The README says what the code says."""

from __future__ import annotations

import re
from pathlib import Path

from pytest_dscoreml.options import OPTIONS, readme_table

README = Path(__file__).resolve().parents[2] / "README.md"
OPENING, CLOSING = "<!-- options -->", "<!-- /options -->"


def test_the_table_of_options_is_the_codes():
    """To bring it up to date: put what `pytest_dscoreml.options.readme_table()` gives between the two comments."""
    text = README.read_text(encoding="utf-8")

    assert text.count(OPENING) == text.count(CLOSING) == 1
    block = re.search(f"{re.escape(OPENING)}(.*?){re.escape(CLOSING)}", text, flags=re.DOTALL)
    assert block is not None
    assert block[1].strip() == readme_table()


def test_every_option_it_speaks_of_exists():
    known = {option.flag for option in OPTIONS}

    spoken_of = set(re.findall(r"--dscoreml-[a-z]+(?:-[a-z]+)*", README.read_text(encoding="utf-8")))
    assert spoken_of <= known
