"""A real browser: log in, overview, a meter, an on-demand read; live without reload."""

import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from smartmeter.tms.model import Kind
from smartmeter.tms.web.profile_chart import POINTS
from tests.smartmeter.tms.web.browser import CHROMIUM, DRIVER, FLAGS, needs_browser

#: The least contrast of a text on the page to what is behind it, as WCAG counts it.
DULLEST = """
const numbers = colour => colour.match(/[\\d.]+/g).map(Number);
const light = rgb => {
  const [r, g, b] = rgb.map(v => v / 255).map(
    v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
  return .2126 * r + .7152 * g + .0722 * b;
};
const behind = element => {
  for (let one = element; one; one = one.parentElement) {
    const [r, g, b, a] = numbers(getComputedStyle(one).backgroundColor);
    if (a !== 0) return [r, g, b];
  }
  return [255, 255, 255];
};
const said = 'h1, h2, td, th, a, .faint, .figure, .q-dialog .q-btn';
const texts = [...document.querySelectorAll(said)].filter(
  one => one.innerText && one.offsetParent);
return Math.min(...texts.map(one => {
  const [r, g, b] = numbers(getComputedStyle(one).color);
  const [dim, bright] = [light([r, g, b]), light(behind(one))].sort((a, b) => a - b);
  return (bright + .05) / (dim + .05);
}));
"""


ACTED_UPON = {"button", "link", "textbox", "combobox", "switch", "checkbox", "dialog", "region"}
#: Sends the lines of a shipment file as a program would.
IMPORT = """
fetch('/api/shipment', {method: 'POST', body: 'esn,title,key,model\\n' + arguments[0]});
"""


#: Enters a plain meter at an address where nobody answers.
IMPORT_PLAIN = """
const lines = 'esn,address,user_id,password,model\\n' + arguments[0] + ',socket://127.0.0.1:1,2,,';
fetch('/api/polled', {method: 'POST', body: lines});
"""
#: How far below the upper edge of its picture the topmost mark of the tree stands.
TOPMOST = """
const host = document.querySelector('.nicegui-echart');
const tree = getElement(Number(host.id.slice(1))).chart.getModel().getSeriesByIndex(0);
const data = tree.getData();
const heights = [];
for (let n = 0; n < data.count(); n += 1) heights.push(data.getItemLayout(n)?.y ?? Infinity);
return tree.layoutInfo.y + Math.min(...heights);
"""
#: A network with names as long as they may be: two relays in a row, and a serial server.
LONG_NAMES = """
const real = window.fetch;
const place = (name, kind, children) => ({name, kind, children, value: '', sound: true});
const tree = place('this TMS', 'tms', [
  place('relay 2.16.124.113620.1.22.0.90.1.12345', 'relay', [
    place('relay 2.16.124.113620.1.22.0.90.2.12345', 'relay', [place('LONG1', 'meter', [])])]),
  place('socket://serial-server.example.com:2000', 'server', [place('LONG2', 'meter', [])])]);
window.fetch = async (...asked) =>
  asked[0] === '/api/topology' ? {ok: true, json: async () => ({tree})} : real(...asked);
"""
#: Of the texts in the picture of that network, those that lie on another, or none.
OVERLAPPING = """
const host = document.querySelector('.nicegui-echart');
const chart = getElement(Number(host.id.slice(1))).chart;
const texts = chart.getZr().storage.getDisplayList(true).filter(one => one.type === 'tspan');
if (!texts.some(one => one.style.text === 'LONG1')) return null;
const boxes = texts.map(one => {
  const box = one.getBoundingRect().clone();
  const moved = one.getComputedTransform();
  if (moved) box.applyTransform(moved);
  return box;
});
const lies = (box, n) => boxes.some((other, m) => n !== m && box.intersect(other));
return boxes.filter((box, n) => box.x < 0 || lies(box, n)).length;
"""
#: A cause may name a server, on whose name no line can be broken.
LONG_CAUSE = """
const cause = document.querySelector('h1')?.parentElement.querySelector('.faint');
if (cause) cause.innerText = 'x'.repeat(200);
return cause !== undefined && cause !== null;
"""
#: Neither the page nor a table in it is wider than a phone or a tablet, which hides what stands at
#: its right.
FITS = """
const boxes = [document.documentElement, ...document.querySelectorAll('.q-table__middle')];
return boxes.every(one => one.scrollWidth <= one.clientWidth);
"""
#: The widest name that a SmartMeter may have.
WIDEST = "W" * 16
WIDEST_PLAIN = "W" * 15 + "P"
#: In the list of all SmartMeters: from that of the late and silent before it rows come and go.
FOCUS = """
window.chosen = [...document.querySelectorAll('table')].at(-1).querySelector('td a');
window.chosen.focus();
"""
HAS_FOCUS = "return document.activeElement === window.chosen"
MEASURES = "return performance.getEntriesByType('mark').length"
#: As another tab would; and as a start of the TMS would, with which all sessions end.
LOGGED_OUT = "fetch('/logout', {method: 'POST'})"
LOGGED_OUT_AND_CUT = "fetch('/logout', {method: 'POST'}).then(() => socket.io.engine.close())"

#: A page finds no way to its server until it is let through; polling is blocked by its address.
NO_SOCKET = """
const Real = WebSocket;
window.WebSocket = function (...address) {
  if (!window.letThrough) throw new Error('blocked');
  return new Real(...address);
};
"""


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[tuple[str, str]]:
    log = tmp_path / "demo.log"
    with log.open("w") as errors:
        process = subprocess.Popen(
            [
                *(sys.executable, "-u", "-m", "smartmeter", "demo"),
                *("--port", "0", "--data", str(tmp_path / "data"), "--duration", "1200"),
                *("--speed", "200"),  # a third of the default: a busy machine keeps up
            ],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            found = re.search(r"page (\S+) +log in as demo with (\S+)", line)
            if found:
                yield found[1], found[2]
                break
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 0, out
        assert "Traceback" not in log.read_text(), log.read_text()
    finally:
        if process.poll() is None:
            process.kill()


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM or ""
    for flag in FLAGS.split():
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={tmp_path / 'profile'}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


def text_of(browser: webdriver.Chrome) -> str:
    return browser.find_element(By.TAG_NAME, "body").text


def wait(browser: webdriver.Chrome, holds: Callable[[], object], what: str) -> None:
    # A page that is being drawn anew may take its elements away under the look, which the driver
    # reports as a stale element or as an error of its inspector.
    gone = (WebDriverException,)
    WebDriverWait(browser, 120, 0.2, gone).until(lambda _: holds(), what)


def button(browser: webdriver.Chrome, label: str) -> WebElement:
    return next(b for b in browser.find_elements(By.TAG_NAME, "button") if label in b.text)


def a_question_is_legible(browser: webdriver.Chrome, address: str) -> None:
    """Ask to retire a meter, where the pages are dark."""
    browser.get(f"{address}meter/{WIDEST}")
    wait(browser, lambda: button(browser, "Retire").click() is None, "the button is pressed")
    wait(browser, lambda: "out of service?" in text_of(browser), "it is asked for")
    wait(browser, lambda: browser.execute_script(DULLEST) >= 4.5, "what it offers is legible")


def pages_end_with_the_log_in(browser: webdriver.Chrome, address: str, password: str) -> None:
    """Log out beside an open page: as it is, cut off, and before it ever had a connection."""
    for ended in (LOGGED_OUT, LOGGED_OUT_AND_CUT):
        browser.execute_script(ended)
        wait(browser, lambda: "Log in to see" in text_of(browser), "an open page ends with it")
        log_in(browser, address, password)
        wait(browser, lambda: "All SmartMeters" in text_of(browser), "logged in again")
    browser.execute_cdp_cmd("Network.enable", {})
    browser.execute_cdp_cmd("Network.setBlockedURLs", {"urls": ["*/_nicegui_ws/*"]})
    browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": NO_SOCKET})
    browser.get(address)
    wait(browser, lambda: "All SmartMeters" in text_of(browser), "a page without a connection")
    browser.execute_script(LOGGED_OUT + ".then(() => { window.letThrough = true; })")
    browser.execute_cdp_cmd("Network.setBlockedURLs", {"urls": []})
    wait(browser, lambda: "Log in to see" in text_of(browser), "which never had one, ends, too")


def pages_are_turned(browser: webdriver.Chrome, address: str) -> None:
    """Turn the pages of the list there and back, by way of a meter's page."""
    wait(browser, lambda: turn(browser, "Next page"), "the page is turned")
    wait(browser, lambda: "26-50 of 50" in text_of(browser), "the second page is said to be it")
    assert "SN000030" in text_of(browser) and "SM000002" not in listed(browser)
    browser.get(f"{address}meter/SN000030")
    browser.back()
    wait(browser, lambda: "26-50 of 50" in text_of(browser), "the way back leads to the page")
    wait(browser, lambda: turn(browser, "Previous page"), "the page is turned back")
    wait(browser, lambda: "SM000002" in listed(browser), "the first page is shown again")
    wait(browser, lambda: not browser.execute_script(MEASURES), "nothing heaps up in the browser")


def names_keep_clear_of_each_other(browser: webdriver.Chrome, address: str) -> None:
    """Look at the picture of a network with long names, which the browser is made to draw."""
    browser.get(f"{address}network")
    browser.execute_script(LONG_NAMES)
    wait(browser, lambda: browser.execute_script(OVERLAPPING) == 0, "each name can be read")


def turn(browser: webdriver.Chrome, label: str) -> bool:
    """Press a button of the pagination; True when it was there."""
    browser.find_element(By.CSS_SELECTOR, f"button[aria-label='{label}']").click()
    return True


def listed(browser: webdriver.Chrome) -> str:
    """Give the text of the list of all SmartMeters."""
    return browser.find_elements(By.TAG_NAME, "table")[-1].text


def nameless(browser: webdriver.Chrome) -> list[str]:
    """Give the roles of what a person can act upon and a screen reader cannot name."""
    nodes = browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    shown = [node for node in nodes if not node.get("ignored") and "name" in node]
    roles = [node["role"]["value"] for node in shown if not node["name"].get("value", "").strip()]
    return [role for role in roles if role in ACTED_UPON]


def log_in(browser: webdriver.Chrome, address: str, password: str) -> None:
    browser.get(address)
    browser.find_element(By.ID, "user").send_keys("demo")
    browser.find_element(By.ID, "password").send_keys(password)
    browser.find_element(By.CSS_SELECTOR, "button[type=submit]").click()


def nothing_is_cut_off(browser: webdriver.Chrome) -> None:
    """The page fits in a small window, on a tablet and on a phone; it is left as on the phone."""
    for width in (1024, 768, 390):
        browser.set_window_size(width, 844)
        wait(browser, lambda: browser.execute_script(FITS), "nothing scrolls sideways")


@needs_browser
def test_a_person_logs_in_sees_the_street_and_reads_a_meter(
    browser: webdriver.Chrome, demo: tuple[str, str]
) -> None:
    # In this order the demo is stopped while a page is open.
    address, password = demo
    log_in(browser, address, "wrong password")
    wait(browser, lambda: "User or password is wrong." in text_of(browser), "it is refused")
    log_in(browser, address, password)
    wait(browser, lambda: "provisioned\n20" in text_of(browser), "all are provisioned")
    before = browser.page_source
    wait(browser, lambda: browser.page_source != before, "the page is live")
    # The demo's plan of faults leaves this one alone: another may be without power just now.
    browser.get(f"{address}meter/SM000001")
    wait(browser, lambda: "every 15 minutes" in text_of(browser), "schedules are shown")
    wait(browser, lambda: "LOAD_PROFILE_PART" in text_of(browser), "messages are shown")
    wait(browser, lambda: button(browser, "Read now").click() is None, "the button is pressed")
    wait(browser, lambda: "active energy delivered" in text_of(browser), "registers came")
    wait(browser, lambda: "on-demand read" in text_of(browser), "the work is listed")
    wait(browser, lambda: button(browser, "Change key").click() is None, "the button is pressed")
    changed = re.compile(r"change key\s+done")
    wait(browser, lambda: changed.search(text_of(browser)), "the module has another key")
    browser.get(address)
    shipped = [*(f"SN{n:06d}" for n in range(2, 31)), WIDEST]
    lines = (f"{esn},.8.{n},{n:032x},m\n" for n, esn in enumerate(shipped, 1))
    browser.execute_script(IMPORT, "".join(lines))
    wait(browser, lambda: "1-25 of 50" in text_of(browser), "what was shipped is listed")
    assert "SN000030" not in text_of(browser)
    pages_are_turned(browser, address)
    browser.execute_script(FOCUS)
    before = browser.page_source
    wait(browser, lambda: browser.page_source != before, "something on the page changes")
    assert browser.execute_script(HAS_FOCUS), "a person without a mouse goes on from there"
    browser.get(f"{address}meter/NOBODY")
    wait(browser, lambda: "is not known" in text_of(browser), "an unknown meter is said so")
    browser.get(f"{address}work")
    # The newest only: on a busy machine looks after silence push the provisioning out.
    kinds = (Kind.PROVISION, Kind.RECOVER)
    wait(browser, lambda: any(one in text_of(browser) for one in kinds), "work is listed")
    browser.get(f"{address}network")
    # The street's faults come and go: now nobody is out of reach, now one or two are named.
    told = re.compile(r"Nobody who is drawn|Out of reach[\s\S]+?SM\d{6}")
    wait(browser, lambda: told.search(text_of(browser)), "who is out of reach is told")
    drawn = "return document.querySelectorAll('.nicegui-echart canvas, .nicegui-echart svg').length"
    wait(browser, lambda: browser.execute_script(drawn), "the tree is drawn")
    faults = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    # The only faults that the browser logs are the refused log-in and the meter that is not known.
    assert all(re.search("login.* 401|NOBODY.* 404", one["message"]) for one in faults), faults
    browser.execute_script(IMPORT_PLAIN, WIDEST_PLAIN)
    # A line of its name fits above the mark of the serial server.
    wait(browser, lambda: browser.execute_script(TOPMOST) >= 26, "no name is cut off at the edge")
    names_keep_clear_of_each_other(browser, address)
    browser.set_window_size(390, 844)
    names_keep_clear_of_each_other(browser, address)
    scheme = {"name": "prefers-color-scheme", "value": "dark"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
    for page, told in (
        *(("network", "Out of reach"), ("work", "Unknown devices")),
        *(("meter/SM000001", "every 15 minutes"), ("", "All SmartMeters")),
        (f"meter/{WIDEST}", "It has sent nothing yet."),  # the street has no such house
        *((f"meter/{WIDEST_PLAIN}", "the daily poll"), ("", "does not answer: socket")),
    ):
        browser.get(f"{address}{page}")
        wait(browser, lambda told=told: told in text_of(browser), "the page on a phone")
        if page.startswith("meter"):
            wait(browser, lambda: browser.execute_script(LONG_CAUSE), "a cause is told")
        nothing_is_cut_off(browser)
        wait(browser, lambda: browser.execute_script(DULLEST) >= 4.5, "it is legible in the dark")
        wait(browser, lambda: not nameless(browser), "all that can be acted upon has a name")
    a_question_is_legible(browser, address)
    pages_end_with_the_log_in(browser, address, password)


@needs_browser
def test_a_chart_draws_each_value_over_its_own_interval_and_a_gap_as_a_gap(
    browser: webdriver.Chrome,
) -> None:
    profile = {"end_s": [900, 1800, 0, 4500, 5400], "length_s": [900] * 5}
    values = [1, "2.5", 9, "1/4", None]
    points = browser.execute_script(f"return ({POINTS})(...arguments)", profile, values)
    assert points == [
        *([0, None], [0, 1], [900_000, 1], [1_800_000, 2.5]),
        *([3_600_000, None], [3_600_000, 0.25], [4_500_000, 0.25], [5_400_000, None]),
    ]
