"""The page of a study in a real browser: nothing cut or faint on any screen, and all within reach of every reader."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from flume.lab.link.profile import Direction, Profile
from flume.lab.run.spec import RunSpec
from flume.lab.study.page import write_page
from flume.lab.study.results import results
from flume.lab.trial.verdict import Report
from support.pages.browser import Browser, started
from support.report_values import network
from support.studies import PARTS, STUDY, FakeLab, usual_report

NAMES = ("clean", "lossy-1", "bursty-1", "jitter-40", "lte-congested", "wifi-bad")
OPEN_ALL = "document.querySelectorAll('details').forEach((each) => { each.open = true; });"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with started() as found:
        yield found


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six networks, of which one was measured twice."""

    def once_busy(spec: RunSpec, number: int) -> Report:
        made = usual_report(spec, number)
        return replace(made, network=network(problem="5 % where 1 % is set")) if number == 2 else made

    folder = tmp_path_factory.mktemp("study")
    lab = FakeLab(once_busy)
    profiles = {name: Profile(name=name, description="", down=Direction(), up=Direction()) for name in NAMES}
    study = replace(STUDY, profiles=NAMES, clients=3)
    conductor = lab.conductor(folder, study, PARTS._replace(profiles=profiles))
    conductor.begin(resume=False)
    conductor.conduct(lab.run_one)
    return write_page(results(conductor.state, folder), folder)


@pytest.mark.parametrize("width", [390, 768, 1440])
def test_nothing_is_cut_overlaps_or_is_faint(browser: Browser, page: Path, width: int):
    browser.open(page, width=width)
    browser.run(OPEN_ALL)
    assert browser.faults("cut()") == []
    assert browser.faults("overlapping()") == []
    for dark in (False, True):
        browser.show(dark=dark)
        assert browser.faults("faint(4.5)")["faults"] == []
    assert browser.complaints() == []


def test_on_a_phone_each_value_stands_beside_the_name_of_its_network(browser: Browser, page: Path):
    browser.open(page, width=390)
    assert browser.run("return document.documentElement.scrollWidth <= 390;")
    shown = browser.run(
        "const cell = document.querySelector('#figure-loss_pct td:nth-of-type(2)');"
        "const label = getComputedStyle(cell, '::before');"
        "return [label.display, cell.dataset.label, cell.innerText, cell.getBoundingClientRect().right];"
    )
    assert shown[0] != "none"
    assert shown[1] == "lossy-1"
    assert " to " in shown[2]
    assert shown[3] <= 390


@pytest.mark.parametrize("width", [390, 1440])
def test_axe_finds_nothing(browser: Browser, page: Path, width: int):
    browser.open(page, width=width)
    browser.run(OPEN_ALL)
    assert browser.axe() == []
