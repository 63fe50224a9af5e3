"""The README says what the code says."""

from __future__ import annotations

import re
from pathlib import Path

from pytest_dscoreml.options import OPTIONS, readme_table

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
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

    pages = [README, *ROOT.glob("docs/*.md"), *ROOT.glob(".github/workflows/*.yml"), ROOT / "tox.ini"]
    spoken_of = {
        (page.name, flag)
        for page in pages
        for flag in re.findall(r"--dscoreml-[a-z]+(?:-[a-z]+)*", page.read_text(encoding="utf-8"))
    }
    assert {(page, flag) for page, flag in spoken_of if flag not in known} == set()
    assert {page for page, _ in spoken_of} >= {"gate.yml", "ci.md", "baseline.md"}


def test_every_link_between_the_pages_leads_somewhere():
    pages = [README, *ROOT.glob("docs/*.md")]
    links = {
        (page, target)
        for page in pages
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    }
    assert links
    assert [(page.name, target) for page, target in sorted(links) if not (page.parent / target).exists()] == []
