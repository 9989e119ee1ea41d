"""The colours of data: visible on the page, and told apart by people who see red, green or blue less, or none."""

import itertools
import re
from collections.abc import Sequence

import pytest

from support.paths import SERVICES

CSS = (SERVICES / "flume" / "lab" / "report" / "styles" / "page.css").read_text("utf-8")
PAIRS = re.findall(r"--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\);", CSS)
THEMES = {
    "light": {name: light for name, light, _ in PAIRS},
    "dark": {name: dark for name, _, dark in PAIRS},
}
LEAST_DIFFERENCE = 20
"""In CIELAB (1976). About 2 is the least that one sees side by side; thin bars that lie apart need more."""

# Machado, Oliveira, Fernandes: A Physiologically-based Model for Simulation of Color Vision Deficiency (2009), at its
# full severity.
SIGHTS = {
    "all cones": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}


def linear(colour: str) -> tuple[float, ...]:
    """Return *colour*, written ``#rrggbb``, as the light of a screen: red, green, blue from 0 to 1."""
    shares = (int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5))
    return tuple(share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares)


def times(matrix: Sequence[Sequence[float]], vector: Sequence[float]) -> tuple[float, ...]:
    return tuple(sum(one * other for one, other in zip(row, vector, strict=True)) for row in matrix)


def lab(light: Sequence[float]) -> tuple[float, float, float]:
    """Return the place of *light* in CIELAB, for the white of a screen (D65)."""
    xyz = times(((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505)), light)
    shares = (max(0.0, part) / white for part, white in zip(xyz, (0.9505, 1.0, 1.089), strict=True))
    x, y, z = (share ** (1 / 3) if share > 0.008856 else 7.787 * share + 16 / 116 for share in shares)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def difference(one: str, other: str, sight: str) -> float:
    places = (lab(times(SIGHTS[sight], linear(colour))) for colour in (one, other))
    return float(sum((a - b) ** 2 for a, b in zip(*places, strict=True)) ** 0.5)


def luminance(colour: str) -> float:
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear(colour), strict=True))


@pytest.mark.parametrize("sight", SIGHTS)
@pytest.mark.parametrize("theme", THEMES)
def test_the_causes_of_a_loss_are_told_apart(theme: str, sight: str):
    colours = {name: colour for name, colour in THEMES[theme].items() if name.startswith("loss-")}
    assert len(colours) == 5
    for one, other in itertools.combinations(colours, 2):
        assert difference(colours[one], colours[other], sight) >= LEAST_DIFFERENCE, (one, other)


@pytest.mark.parametrize("theme", THEMES)
def test_the_two_commonest_causes_differ_in_lightness_alone(theme: str):
    lightness = [lab(linear(THEMES[theme][name]))[0] for name in ("loss-link", "loss-queue")]
    assert abs(lightness[0] - lightness[1]) >= LEAST_DIFFERENCE


@pytest.mark.parametrize("theme", THEMES)
def test_what_is_drawn_stands_out_from_the_page(theme: str):
    """Three to one, as WCAG 2.1 asks of graphics (1.4.11)."""
    page = luminance(THEMES[theme]["page"])
    drawn = {name: colour for name, colour in THEMES[theme].items() if name.startswith(("loss-", "data-"))}
    assert len(drawn) == 12
    for name, colour in drawn.items():
        lighter, darker = sorted((luminance(colour), page), reverse=True)
        assert (lighter + 0.05) / (darker + 0.05) >= 3, name


def test_colours_known_to_be_alike_are_found_alike():
    """The negative control: red and green of one lightness, to people without cones for green."""
    assert difference("#c75100", "#8a7800", "all cones") > LEAST_DIFFERENCE
    assert difference("#c75100", "#8a7800", "deuteranopia") < LEAST_DIFFERENCE
