"""The page of a report in a real browser: nothing cut or faint, and all within reach of every reader."""

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select

from flume.lab.report.writer import HTML_NAME, write_report
from flume.lab.trial.verdict import Balance, Check, HostLink, Verdict
from support.captures.relaying import Tree
from support.pages.browser import Browser, started
from support.pages.pictures import write_pictures
from support.pages.sample import a_client, a_report, clients, long_report

WIDTHS = (390, 768, 1440)
THEMES = {False: "rgb(255, 255, 255)", True: "rgb(22, 24, 26)"}
"""Whether it is dark: its background."""
OPEN_ALL = "document.querySelectorAll('details').forEach((each) => { each.open = true; });"
DRAWN = "document.querySelectorAll('.u-over').length"
SHOWN = "document.querySelector('.shown').textContent"
LOSSY = "#client-3 .charts"
FOCUSABLE = "a[href], button, select, summary, [tabindex='0']"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with started() as found:
        yield found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pages")


@pytest.fixture(scope="module")
def six(folder: Path) -> Path:
    """A page of one client of each kind."""
    write_pictures(folder / "six")
    write_report(a_report(), folder / "six")
    return folder / "six" / HTML_NAME


@pytest.fixture(scope="module")
def two(folder: Path) -> Path:
    """A page of a lossy client and one without measures: short enough to press Tab all the way."""
    write_pictures(folder / "two")
    write_report(a_report([clients()[2], a_client(5)]), folder / "two")
    return folder / "two" / HTML_NAME


def background(browser: Browser) -> str:
    return str(browser.run("return getComputedStyle(document.body).backgroundColor;"))


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_cut_overlaps_or_is_faint(browser: Browser, six: Path, width: int):
    browser.open(six, width=width)
    browser.wait_until(DRAWN)
    browser.run(OPEN_ALL)
    assert browser.faults("cut()") == []
    assert browser.faults("overlapping()") == []
    for dark, paper in THEMES.items():
        browser.show(dark=dark)
        assert background(browser) == paper
        found = browser.faults("faint(4.5)")
        assert found["faults"] == []
        assert found["count"] >= 4, "kinds of text: ink, soft, PASS, FAIL"
    assert browser.complaints() == []


@pytest.fixture(scope="module")
def tree(folder: Path) -> Path:
    """A page of two relays, of which one had lost something, with two clients each."""
    found = Tree()
    found.lost = {"relay-h2": frozenset({40, 41, 90})}
    links = [HostLink(source="h1", destination=f"h{host}", datagrams=1500, bytes=1_992_000) for host in (2, 3)]
    write_report(msgspec.structs.replace(found.play().report(), host_links=links), folder / "tree")
    return folder / "tree" / HTML_NAME


@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_of_a_tree_is_whole_and_within_reach(browser: Browser, tree: Path, width: int):
    browser.open(tree, width=width)
    browser.wait_until(DRAWN)
    browser.run(OPEN_ALL)
    assert browser.faults("cut()") == []
    assert browser.faults("overlapping()") == []
    assert browser.axe() == []
    assert browser.complaints() == []
    assert "before its relay" in browser.text("#client-3 .charts")


def test_the_longest_names_and_numbers_stay_on_a_phone(browser: Browser, folder: Path):
    word = "television-of-the-second-floor-" * 4
    long = a_client(
        123456,
        name=word,
        address="2001:0db8:85a3:0000:0000:8a2e:0370:7334",
        program="gstreamer:tcp",
        verdict=Verdict.UNSUPPORTED,
        datagrams_leaked=123_456_789,
        leak_reasons={"while_interrupted": 123_456_789},
        balance=Balance(sent=987_654_321_000, lost_on_link=1_234_567_890, dropped_by_firewall=7),
        player=word,
    )
    check = Check(name="commands", verdict=Verdict.UNSUPPORTED, subject=word, detail=f"{word * 3} {'0' * 200}")
    run = {"run": word, "checks": [check], "scenario": {word: word}, "engine": {"endpoint": f"unix:///{word}"}}
    write_report(a_report([long], verdict=Verdict.UNSUPPORTED, **run), folder / "long")
    browser.open(folder / "long" / HTML_NAME, width=390)
    browser.scroll_to(".charts")
    browser.wait_until(DRAWN)
    browser.run(OPEN_ALL)
    assert browser.faults("cut()") == []
    assert browser.faults("overlapping()") == []


def test_the_measuring_finds_what_is_cut_overlaps_and_is_faint(browser: Browser, folder: Path):
    """The negative control of the test above."""
    page = folder / "bad.html"
    page.write_text(
        "<!doctype html><title>bad</title><body style='margin:0'>"
        "<p style='width:2000px;text-align:right'>beyond</p>"
        "<p style='width:40px;overflow:hidden;white-space:nowrap'>too long for its box</p>"
        "<p style='color:#888;background:#fff'>faint</p>"
        "<p style='position:absolute;top:300px'>one text</p><p style='position:absolute;top:304px'>another</p>"
    )
    browser.open(page, width=390)
    cut = " ".join(browser.faults("cut()"))
    assert "the page is 2000 px wide" in cut
    assert 'beyond the edge: p. "beyond"' in cut
    assert 'cut by its own box: p. "too long' in cut
    assert [line for line in browser.faults("overlapping()") if "one text" in line and "another" in line]
    assert [line[:4] for line in browser.faults("faint(4.5)")["faults"]] == ["3.54"]


@pytest.mark.parametrize(("width", "dark"), [(390, True), (1440, False)])
def test_axe_finds_nothing(browser: Browser, two: Path, width: int, dark: bool):
    browser.open(two, width=width, dark=dark)
    browser.wait_until(DRAWN)
    browser.run(OPEN_ALL)
    assert browser.axe() == []


def test_axe_would_find_something(browser: Browser, folder: Path):
    page = folder / "unnamed.html"
    page.write_text("<!doctype html><title>x</title><main><button></button><img src='data:,'></main>")
    browser.open(page)
    assert {"button-name", "image-alt", "html-has-lang"} <= {line.partition(":")[0] for line in browser.axe()}


def test_the_page_asks_no_other_computer_and_may_not(browser: Browser, six: Path):
    browser.open(six)
    browser.wait_until(DRAWN)
    loaded = browser.run("return performance.getEntriesByType('resource').map((entry) => entry.name);")
    assert [name for name in loaded if not name.startswith("data:")] == []
    assert browser.complaints() == []
    # The negative control: the policy is in force.
    browser.run(
        "window.refused = [];"
        "addEventListener('securitypolicyviolation', (event) => refused.push(event.effectiveDirective));"
        "const image = new Image(); image.src = 'http://127.0.0.1:9/x.png'; document.body.append(image);"
        "const script = document.createElement('script'); script.textContent = 'window.ran = true';"
        "document.body.append(script);"
        "fetch('http://127.0.0.1:9/').catch(() => {});"
    )
    browser.wait_until("refused.length >= 3")
    assert set(browser.run("return refused;")) == {"img-src", "script-src-elem", "connect-src"}
    assert browser.run("return window.ran;") is None
    browser.complaints()


def readings(browser: Browser, holder: str) -> dict[str, str]:
    """Return what the key of each line of a time line says."""
    pairs = browser.run(
        "const found = [...document.querySelectorAll(arguments[0] + ' output')];"
        "return found.map((each) => [each.dataset.line, each.textContent]);",
        holder,
    )
    return {name: text.replace("\u202f", "") for name, text in pairs}


def shown(browser: Browser) -> tuple[float, float]:
    start, end = re.findall(r"[\d.]+", browser.text(".shown").replace("\u202f", ""))[:2]
    return float(start), float(end)


def test_the_mouse_reads_all_charts_at_once_zooms_by_a_drag_and_back_by_a_double_click(browser: Browser, six: Path):
    browser.open(six)
    browser.scroll_to(LOSSY)
    browser.wait_until(f"document.querySelectorAll('{LOSSY} .u-over').length === 7")
    whole = readings(browser, LOSSY)
    assert whole["link"] == "531 in all"
    assert whole["freeze"] == "2 freezes"
    rate = browser.all(f"{LOSSY} [data-panel=rate] .u-over")[0]
    browser.mouse().move_to_element_with_offset(rate, int(rate.size["width"] * (31.5 / 60 - 0.5)), 0).perform()
    browser.wait_until("document.querySelector('.cursor').textContent.includes('31.')")
    at = readings(browser, LOSSY)
    assert at["freeze"] == "frozen for 1.20 s"
    assert at["state"] == "active"
    assert at["queue"] == "3"
    assert float(at["delay"]) > 40
    lefts = browser.run(
        f"const found = [...document.querySelectorAll('{LOSSY} .u-cursor-x')];"
        "return found.map((each) => each.getBoundingClientRect().left);"
    )
    assert len(lefts) == 7
    assert max(lefts) - min(lefts) < 1, "one cursor through all charts"

    browser.mouse().move_to_element_with_offset(rate, -100, 0).click_and_hold().move_by_offset(
        200, 2
    ).release().perform()
    browser.wait_until(f"!{SHOWN}.startsWith('0')")
    start, end = shown(browser)
    assert 20 < start < 30 < end < 40
    browser.mouse().double_click(rate).perform()
    browser.wait_until(f"{SHOWN}.startsWith('0 to 60 ')")
    assert browser.complaints() == []


def test_keys_move_the_cursor_zoom_shift_and_speak(browser: Browser, six: Path):
    browser.open(six)
    browser.wait_until(DRAWN)
    holder = browser.scroll_to(LOSSY)
    browser.mouse().move_by_offset(1, 1).perform()
    holder.send_keys(Keys.HOME, Keys.ARROW_RIGHT, Keys.SHIFT + Keys.ARROW_RIGHT)
    browser.wait_until("document.querySelector('.cursor').textContent === 'cursor at 3.30 s'")
    browser.wait_until("document.getElementById('spoken').textContent.startsWith('client-3, 3.30 s: active')")
    assert "Lost, by cause link " in browser.text("#spoken")
    holder.send_keys(Keys.NULL, "+", "+")
    browser.wait_until(f"!{SHOWN}.startsWith('0 to 60 ')")
    start, end = shown(browser)
    assert end - start == pytest.approx(15, abs=1.1)
    holder.send_keys(Keys.PAGE_DOWN)
    browser.wait_until(f"!{SHOWN}.startsWith('{start:g}')")
    assert shown(browser)[0] == pytest.approx(start + 7.5, abs=1.1)
    holder.send_keys(Keys.ESCAPE)
    browser.wait_until(f"{SHOWN}.startsWith('0 to 60 ')")


def test_buttons_zoom_and_say_what_they_cannot_do(browser: Browser, six: Path):
    browser.open(six)
    buttons = {button.get_attribute("data-do"): button for button in browser.all(".tools button")}
    assert {name for name, one in buttons.items() if one.get_attribute("aria-disabled") == "true"} == {
        "out",
        "back",
        "on",
        "all",
    }
    for name, said in (
        ("in", "15 to 45"),
        ("on", "30 to 60"),
        ("back", "15 to 45"),
        ("out", "0 to 60"),
        ("all", "0 to 60"),
    ):
        buttons[name].click()
        assert browser.text(".shown").startswith(said), name


def test_the_tab_key_reaches_every_control_and_shows_where_it_is(browser: Browser, two: Path):
    browser.open(two)
    browser.wait_until(DRAWN)
    count = browser.run(
        f'window.controls = [...document.querySelectorAll("{FOCUSABLE}")].filter((each) => each.checkVisibility());'
        "return controls.length;"
    )
    seen = []
    for _ in range(count):
        browser.mouse().send_keys(Keys.TAB).perform()
        index, outline = browser.run(
            "const now = document.activeElement;"
            "return [controls.indexOf(now), getComputedStyle(now).outlineStyle + getComputedStyle(now).outlineWidth];"
        )
        assert outline == "solid3px", browser.run("return document.activeElement.outerHTML;")
        seen.append(index)
    assert sorted(seen) == list(range(count)), "each once, and the focus is never trapped"
    assert count > 15


def test_each_chart_has_a_name_and_a_table_with_the_same_sums(browser: Browser, two: Path):
    browser.open(two)
    browser.wait_until(DRAWN)
    plots = browser.all("#client-1 .plot")
    assert [plot.aria_role for plot in plots] == ["image"] * 7
    names = [plot.accessible_name for plot in plots]
    assert len(set(names)) == 7
    assert names[3].startswith("Lost, by cause, datagrams each 0.1 s: link 531 in all, full queue 267 in all")
    for holder in browser.all(".charts"):
        assert holder.accessible_name.startswith("Time line of client ")
        described = browser.find(f"#{holder.get_attribute('aria-details')}")
        assert described.tag_name == "details"
    cells = browser.run(
        "const found = [...document.querySelectorAll(\"#client-1-table td[data-label='Lost: link']\")];"
        "return found.map((each) => each.textContent);"
    )
    assert sum(int(cell.replace(" ", "")) for cell in cells) == 531
    titles = [each.text for each in browser.all("#client-1 .panel-title")]
    assert titles[1:] == [
        "Sent by the server, datagrams each 0.1 s",
        "Rate at the client, kbit/s",
        "Lost, by cause, datagrams each 0.1 s",
        "Delay, ms",
        "Frames shown, frames each 1 s",
        "Picture quality, least VMAF (0 to 100)",
    ], "each axis has its unit"


def test_the_pictures_of_the_worst_moment_are_drawn_side_by_side(browser: Browser, two: Path):
    browser.open(two)
    found = browser.run(
        "return [...document.images].map((each) => [each.naturalWidth, each.alt, each.getBoundingClientRect().top]);"
    )
    (width, sent, top), (_, decoded, other_top) = found
    assert (width, sent, decoded) == (320, "The frame as it was sent", "The frame what could be decoded of it")
    assert top == other_top


def test_the_switch_of_colours_wins_over_the_system_and_redraws_the_charts(browser: Browser, two: Path):
    browser.open(two)
    browser.wait_until(DRAWN)
    pixels = "return document.querySelector('[data-panel=rate] .uplot canvas').toDataURL();"
    light = browser.run(pixels)
    choice = Select(browser.find("#theme"))
    choice.select_by_visible_text("dark")
    browser.wait_until("document.documentElement.dataset.theme === 'dark'")
    assert background(browser) == THEMES[True]
    assert browser.run(pixels) != light
    choice.select_by_visible_text("light")
    browser.wait_until("document.documentElement.dataset.theme === 'light'")
    assert background(browser) == THEMES[False]
    assert browser.run(pixels) == light
    choice.select_by_visible_text("as the system")


def test_fifty_clients_are_drawn_only_where_one_looks(browser: Browser, folder: Path):
    write_report(long_report(duration_s=600.0), folder / "many")
    browser.open(folder / "many" / HTML_NAME)
    browser.scroll_to("#client-1")
    browser.wait_until(f"{DRAWN} === 7")
    browser.run(OPEN_ALL)
    browser.run("location.hash = '#client-40';")
    browser.wait_until("document.querySelectorAll('#client-40 .u-over').length === 7")
    browser.wait_until(f"{DRAWN} <= 21")
    assert browser.faults("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    assert browser.complaints() == []


def test_a_link_to_a_client_opens_its_time_line(browser: Browser, folder: Path):
    write_report(a_report([a_client(n) for n in range(1, 11)]), folder / "ten")
    browser.open(folder / "ten" / HTML_NAME)
    assert [each.get_attribute("id") for each in browser.all("details.client[open]")] == ["client-1"]
    browser.find("a[href='#client-9']").click()
    browser.wait_until("document.querySelectorAll('#client-9[open] .u-over').length === 2")


def test_without_scripts_the_tables_say_the_same(browser: Browser, two: Path):
    browser.open(two, scripts=False)
    assert "The charts need JavaScript" in browser.text("#unscripted")
    browser.open(two)
    assert browser.all("#unscripted") == []
    browser.open(two, scripts=False)
    assert browser.find("#client-1-table summary").is_displayed()


def test_nothing_moves_by_itself_and_print_has_no_controls(browser: Browser, two: Path):
    browser.open(two, dark=True)
    browser.wait_until(DRAWN)
    browser.run(OPEN_ALL)
    assert browser.run("return document.getAnimations().length;") == 0
    assert browser.run("return getComputedStyle(document.documentElement).scrollBehavior;") == "auto"
    chart = "return document.querySelector('[data-panel=rate] .uplot canvas').toDataURL();"
    on_screen = browser.run(chart)
    browser.run("dispatchEvent(new Event('beforeprint'));")
    widths = browser.run("return [...document.querySelectorAll('.uplot')].map((each) => each.offsetWidth);")
    assert widths == [680] * 9, "all of them, as wide as paper"
    assert browser.run(chart) != on_screen, "light on paper"
    browser.run("dispatchEvent(new Event('afterprint'));")
    assert browser.run(chart) == on_screen
    browser.print_media()
    assert not browser.find(".tools").is_displayed()
    assert background(browser) == THEMES[False]
