"""The charts as SVG: whole, in the page's colours, with what they are about in them."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from pytest_dscoreml.agreement.tolerances import FLOAT16, FLOAT32
from pytest_dscoreml.model.alphabet import Alphabet
from pytest_dscoreml.report.page import charts
from pytest_dscoreml.report.portraits import Drift, Heard

#: Of matplotlib and the libraries below it, among themselves.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning:matplotlib"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:pyparsing"),
]

ALPHABET = Alphabet(labels=(" ", "a", "<"))
SVG, LINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"


def heard(expected, obtained, samples=None):
    return Heard("one.wav", samples, 16000, 0.02, np.float32(expected), np.float32(obtained))


def rows(*classes, sure=0.9):
    """Rows in which a class is likely and the others share the rest."""
    found = np.full((len(classes), 4), (1 - sure) / 3, np.float32)
    found[np.arange(len(classes)), classes] = sure
    return found


SPOKEN = heard(rows(3, 1, 1, 0, 2), rows(3, 1, 0, 0, 2), np.arange(-800, 800, dtype=np.int16))
CHARTS = {
    "steps": lambda name: charts.by_step({1: [1e-7], 5: [0.0, 1e-6, 2e-6, float("inf"), 1e-5]}, FLOAT32.probabilities, name),
    "difference": lambda name: charts.difference(SPOKEN, ALPHABET, name),
    "drift": lambda name: charts.drift(Drift([16, 32], [1e-6, 0.0], [1e-7, 2e-7]), name),
    "margins": lambda name: charts.margins(np.float32([0.01, 0.5, 0.9]), np.float32([0.01]), FLOAT16.probabilities, name),
    "sound": lambda name: charts.sound(SPOKEN, ALPHABET, name),
    "silent": lambda name: charts.sound(heard(SPOKEN.expected, SPOKEN.obtained), ALPHABET, name),
}  # fmt: skip


def words(svg):
    return [element.text for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


@pytest.mark.parametrize("kind", CHARTS)
def test_takes_its_size_colours_and_font_from_the_page(kind):
    svg = CHARTS[kind]("one")

    tree = ElementTree.fromstring(svg)
    assert tree.tag == f"{SVG}svg"
    assert not {"width", "height"} & set(tree.attrib)
    # What is left in fixed colours is masks, and the pixels of the heat map, which are transparent where nothing differs.
    assert set(re.findall(r"#[0-9a-f]{6}\b", svg)) <= {"#ffffff"}
    assert "var(--ink)" in svg
    assert "font-family" not in svg
    assert "DejaVu" not in svg
    assert not re.search(r"<(metadata|title|!DOCTYPE|\?xml)", svg)


@pytest.mark.parametrize("kind", CHARTS)
def test_two_of_a_kind_share_no_id(kind):
    """The second would be drawn with the first's parts, and not at all where the first is folded away."""
    ids = [re.findall(r'\bid="([^"]*)"', CHARTS[kind](name)) for name in ("one", "other")]

    assert ids[0]
    assert len(ids[0]) == len(set(ids[0]))
    assert not set(ids[0]) & set(ids[1])


@pytest.mark.parametrize("kind", CHARTS)
def test_every_part_that_is_used_is_there(kind):
    svg = CHARTS[kind]("one")
    tree = ElementTree.fromstring(svg)
    used = {element.attrib[LINK] for element in tree.iter() if LINK in element.attrib}
    used = {link[1:] for link in used if not link.startswith("data:")} | set(re.findall(r"url\(#([^)]*)\)", svg))

    assert used <= set(re.findall(r'\bid="([^"]*)"', svg))


def test_the_same_is_drawn_the_same():
    assert CHARTS["sound"]("one") == CHARTS["sound"]("one")


def test_error_against_step_names_the_tolerance():
    assert FLOAT32.probabilities.name in words(CHARTS["steps"]("one"))


def test_the_heat_map_names_classes_and_the_largest_difference():
    said = words(CHARTS["difference"]("one"))

    assert [ALPHABET.label(index) for index in range(4)] == [
        word for word in said if word in map(ALPHABET.label, range(4))
    ]
    assert "8.7e-01" in said


def test_the_heat_map_of_a_large_alphabet_names_no_class():
    many = Alphabet(labels=tuple(map(chr, range(0x4E00, 0x4E00 + 99))))
    random = np.random.default_rng(0).dirichlet(np.ones(100), 7)

    assert not set(words(charts.difference(heard(random, random), many, "one"))) & {many.label(3), many.label(98)}


def test_equal_probabilities_have_a_heat_map_too():
    assert ElementTree.fromstring(charts.difference(heard(rows(1), rows(1)), ALPHABET, "one")) is not None


def test_letters_where_they_begin():
    assert charts.spoken(SPOKEN.expected, ALPHABET) == [(1, "a"), (3, "␣"), (4, "<")]
    assert charts.spoken(SPOKEN.obtained, ALPHABET) == [(1, "a"), (2, "␣"), (4, "<")]
    assert charts.spoken(rows(1, 3, 1), ALPHABET) == [(0, "a"), (2, "a")]
    assert [word for word in words(CHARTS["sound"]("one")) if word in ("a", "␣", "<")] == ["a", "␣", "<"] * 2


def test_without_sound_the_waveform_is_missing():
    assert "sound" in words(CHARTS["sound"]("one"))
    assert "sound" not in words(CHARTS["silent"]("one"))


def test_margins_tell_below_which_a_class_may_turn():
    assert "may turn below 0.1" in words(CHARTS["margins"]("one"))


def test_nothing_that_can_be_drawn_is_an_empty_chart():
    assert words(charts.by_step({2: [0.0, float("inf")]}, FLOAT32.probabilities, "one"))
    assert words(charts.margins(np.zeros(0, np.float32), np.zeros(0, np.float32), FLOAT32.probabilities, "one"))
