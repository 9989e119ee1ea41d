"""A browser without a window for tests of a page: Debian's Chromium and its driver. Nothing is downloaded."""

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

_HERE = Path(__file__).parent
FAULTS = (_HERE / "faults.js").read_text("utf-8")
AXE = (_HERE / "vendored" / "axe-core-4.10.3" / "axe.min.js").read_text("utf-8")
SWITCHES = (
    "--headless=new",
    "--no-sandbox",  # root runs the tests, and the sandbox refuses root
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--disable-background-networking",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)


class Browser:
    """One page at a time. Width and theme are those that the page is told of."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        """Steer *driver*, which runs."""
        self.driver = driver

    def open(self, page: Path, *, width: int = 1440, dark: bool = False, scripts: bool = True) -> None:
        """Load *page* at *width* pixels."""
        self._tell("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        self.show(dark=dark)
        self._tell("Emulation.setScriptExecutionDisabled", value=not scripts)
        self.driver.get(page.as_uri())

    def show(self, *, dark: bool) -> None:
        """Tell the page that the system is *dark*, or light."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._tell("Emulation.setEmulatedMedia", media="", features=[scheme])

    def print_media(self) -> None:
        """Show the page as it is printed."""
        self._tell("Emulation.setEmulatedMedia", media="print")

    def run(self, script: str, *arguments: Any) -> Any:
        """Return what *script*, the body of a function, returns."""
        return self.driver.execute_script(script, *arguments)

    def faults(self, call: str) -> Any:
        """Return what *call* of a function of ``faults.js`` finds."""
        return self.run(f"{FAULTS}\nreturn {call};")

    def axe(self) -> list[str]:
        """Return each rule of axe-core that the page breaks, with the first elements that do; not contrast.

        ``faint`` in ``faults.js`` computes the contrast of all texts in a fraction of the time.
        """
        self.run(AXE)
        found = self.driver.execute_async_script(
            "const done = arguments[0];"
            "const rules = {'color-contrast': {enabled: false}};"
            "axe.run(document, {resultTypes: ['violations'], rules}).then((found) => done(found.violations),"
            " (error) => done([{id: String(error), nodes: []}]));"
        )
        return [f"{rule['id']}: {[node['html'][:120] for node in rule['nodes'][:2]]}" for rule in found]

    def complaints(self) -> list[str]:
        """Return what the console has said since the last call: warnings and errors."""
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def find(self, selector: str) -> WebElement:
        """Return the first element of a CSS *selector*."""
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[WebElement]:
        """Return all elements of a CSS *selector*."""
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def text(self, selector: str) -> str:
        """Return the text of the first element of *selector*, seen or not."""
        return str(self.find(selector).get_property("textContent"))

    def mouse(self) -> ActionChains:
        """Return a new series of acts of the mouse and the keyboard."""
        return ActionChains(self.driver, duration=0)

    def scroll_to(self, selector: str) -> WebElement:
        """Bring the first element of *selector* into the window; return it."""
        element = self.find(selector)
        self.run("arguments[0].scrollIntoView({behavior: 'instant', block: 'start'})", element)
        return element

    def wait_until(self, condition: str, *, timeout_s: float = 20.0) -> None:
        """Return when the expression *condition* is true in the page; or raise :class:`AssertionError`."""
        end_s = time.monotonic() + timeout_s
        while not self.run(f"return Boolean({condition});"):
            assert time.monotonic() < end_s, f"never true: {condition}"
            time.sleep(0.02)

    def _tell(self, command: str, **parameters: Any) -> None:
        self.driver.execute_cdp_cmd(command, parameters)


@contextmanager
def started() -> Iterator[Browser]:
    """Start a browser, and end it."""
    options = webdriver.ChromeOptions()
    for switch in SWITCHES:
        options.add_argument(switch)
    # Both paths are given, or else selenium would look for them on the network.
    options.binary_location = _path_of("chromium")
    options.set_capability("goog:loggingPrefs", {"browser": "WARNING"})
    driver = webdriver.Chrome(options=options, service=Service(_path_of("chromedriver")))
    try:
        driver.set_script_timeout(30)
        yield Browser(driver)
    finally:
        driver.quit()


def _path_of(program: str) -> str:
    path = shutil.which(program)
    assert path is not None, f"{program} is missing: `flume lab setup --tests` installs it"
    return path
