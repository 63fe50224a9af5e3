"""The report's page as its readers see and use it, in Chromium, where there is one: large and small, light and dark."""

from __future__ import annotations

import json
import re
import shutil

import pytest

from pytest_dscoreml.conversion.variants import default_specs

NINE = [spec.name for spec in default_specs()]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
in_chromium = pytest.mark.skipif(None in (CHROMIUM, DRIVER), reason="needs chromium and chromedriver on PATH")
#: Width and height of a phone, and of a desk's screen.
PHONE, DESK = (390, 844), (1280, 900)


@pytest.fixture(scope="module")
def file(demo_run):
    return demo_run[1] / "report.html"


def test_small_enough_to_open_fast(file):
    assert 200_000 < file.stat().st_size < 3_000_000


def test_every_conversion_has_every_chart(file):
    text = file.read_text(encoding="utf-8")
    sections = re.split('<section class="conversion" id="', text)[1:]

    assert [section.split('"')[0] for section in sections] == NINE
    for section in sections:
        titles = re.findall("<h4>(.*?)</h4>", section)
        assert re.match(r"What is heard in \w+\.wav$", titles[0])
        assert titles[1:] == [
            "Error against time step",
            "Drift of the states",
            "Greedy margins",
            "Where the probabilities differ",
        ]
        assert section.count("<svg ") == 5


@pytest.fixture(scope="module")
def browser():
    """Open Chromium with a size, a colour scheme, with scripts or without; each is closed at the end."""
    webdriver = pytest.importorskip("selenium.webdriver")
    opened = []

    def start(size=DESK, *, dark=False, scripts=True):
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        for argument in ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"):
            options.add_argument(argument)
        if not scripts:
            options.add_experimental_option("prefs", {"profile.managed_default_content_settings.javascript": 2})
        driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=DRIVER))
        opened.append(driver)
        metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size == PHONE}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
        return driver

    yield start
    for driver in opened:
        driver.quit()


@pytest.fixture(scope="module")
def on_a_desk(browser, file):
    """The page on a desk's screen, opened once for the tests that only look, or put back what they change."""
    driver = browser()
    driver.get(file.as_uri())
    return driver


def css(driver, selector):
    return driver.find_elements("css selector", selector)


def rows(driver):
    """The names in the matrix that are shown."""
    return [row.text for row in css(driver, "#conversions tbody th") if row.is_displayed()]


def sections(driver):
    return [section.get_attribute("id") for section in css(driver, "section.conversion") if section.is_displayed()]


def press(driver, facet, value):
    (button,) = css(driver, f'button[data-facet="{facet}"][value="{value}"]')
    button.click()


def colour(text):
    """Red, green and blue of `rgb(r, g, b)` or `rgba(r, g, b, a)`, each 0 to 1."""
    return [int(value) / 255 for value in re.findall(r"\d+", text)[:3]]


def contrast(one, other):
    """The contrast of two colours, 1 to 21, by the formula of WCAG 2."""

    def luminance(colours):
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colours]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted(map(luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


@in_chromium
def test_nothing_is_fetched_and_nothing_is_wrong(browser, file):
    driver = browser()
    driver.get(file.as_uri())

    messages = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    sent = [message["params"] for message in messages if message["method"] == "Network.requestWillBeSent"]
    # The pixels of the heat maps are in the page, as data.
    fetched = [each["request"]["url"] for each in sent if not each["request"]["url"].startswith("data:")]
    assert fetched == [file.as_uri()]
    assert driver.get_log("browser") == []


@in_chromium
def test_filters(on_a_desk):
    driver = on_a_desk
    assert rows(driver) == sections(driver) == NINE

    press(driver, "variant", "static")
    assert rows(driver) == sections(driver) == NINE[:3]
    press(driver, "variant", "dynamic")
    assert rows(driver) == NINE[:6]
    press(driver, "target", "mlprogram")
    press(driver, "precision", "float16")
    assert rows(driver) == sections(driver) == ["static-mlprogram-float16", "dynamic-mlprogram-float16"]
    assert css(driver, "#shown")[0].text == "2 of 9 conversions shown"
    for facet, value in (
        ("variant", "static"),
        ("variant", "dynamic"),
        ("target", "mlprogram"),
        ("precision", "float16"),
    ):
        press(driver, facet, value)
    assert rows(driver) == NINE
    assert css(driver, "#shown")[0].text == ""


@in_chromium
def test_a_link_leads_to_its_conversion_and_unfolds_it(on_a_desk):
    driver, name = on_a_desk, "pinned-mlprogram-float16"
    (chart,) = css(driver, f"#{name} figure.wide svg")
    assert not chart.is_displayed()

    driver.find_element("link text", name).click()

    assert chart.is_displayed()
    top = driver.execute_script(f"return document.getElementById('{name}').getBoundingClientRect().top")
    assert -5 < top < 450
    drawn = "return arguments[0].getBBox().width > 0 && arguments[0].getBoundingClientRect().width"
    assert driver.execute_script(drawn, chart) > 700


@in_chromium
def test_a_link_to_what_is_filtered_out_shows_it(browser, file):
    driver = browser()
    driver.get(file.as_uri())
    press(driver, "variant", "static")
    driver.execute_script("location.hash = 'dynamic-mlprogram-float32'")

    assert css(driver, "#dynamic-mlprogram-float32 figure.wide svg")[0].is_displayed()
    assert rows(driver) == NINE


@in_chromium
def test_unfold_all_and_fold_again(on_a_desk):
    driver = on_a_desk
    (button,) = css(driver, "#fold")

    button.click()
    assert all(svg.is_displayed() for svg in css(driver, "figure svg"))
    assert len(css(driver, "figure svg")) == 45
    button.click()
    assert not any(svg.is_displayed() for svg in css(driver, "figure svg"))


@in_chromium
@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
def test_the_page_is_no_wider_than_the_screen(browser, file, size):
    driver = browser(size)
    driver.get(file.as_uri())
    css(driver, "#fold")[0].click()

    assert driver.execute_script("return document.scrollingElement.scrollWidth") <= size[0]
    # What is wider scrolls in a frame of its own, which a keyboard reaches.
    for table in css(driver, "table"):
        frame = table.find_element("xpath", "..")
        assert frame.get_attribute("class") == "scroll"
        assert frame.get_attribute("tabindex") == "0"
    narrow = [figure.size["width"] for figure in css(driver, "figure")]
    assert max(narrow) <= size[0]
    heights = "return [...document.querySelectorAll('button')].map(b => b.getBoundingClientRect().height)"
    assert min(driver.execute_script(heights)) >= 30


@in_chromium
def test_letters_in_charts_can_be_read_on_a_phone(browser, file):
    driver = browser(PHONE)
    driver.get(file.as_uri())
    script = """
        return [...document.querySelectorAll("figure svg")].filter(svg => svg.checkVisibility()).map(svg => {
            const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
            const text = svg.querySelector("text");
            return scale * parseFloat(getComputedStyle(text).fontSize);
        });
    """
    sizes = driver.execute_script(script)

    assert len(sizes) == 5
    # The smallest are the classes of the heat map.
    assert min(sizes) >= 5.5
    assert sorted(sizes)[1] >= 7.5


@in_chromium
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_everything_can_be_told_from_the_paper(browser, file, dark):
    driver = browser(dark=dark)
    driver.get(file.as_uri())

    def of(selector, name):
        return colour(css(driver, selector)[0].value_of_css_property(name))

    paper, card = of("body", "background-color"), of("figure", "background-color")
    assert (sum(paper) < 1) is dark
    for selector in ("body", "h1", "p.soft", "a", "td.passed", "figcaption"):
        assert contrast(of(selector, "color"), paper) >= 4.5, selector
    filled = "figure svg text"
    assert contrast(of(filled, "fill"), card) >= 4.5
    for name in ("--expected", "--obtained", "--bad"):
        script = "return getComputedStyle(document.documentElement).getPropertyValue(arguments[0])"
        found = driver.execute_script(script, name).strip()
        assert contrast([int(found[place : place + 2], 16) / 255 for place in (1, 3, 5)], card) >= 3, name


@in_chromium
def test_without_scripts_all_of_it_can_be_read(browser, file):
    driver = browser(scripts=False)
    driver.get(file.as_uri())

    assert rows(driver) == sections(driver) == NINE
    assert not css(driver, "#filters")[0].is_displayed()
    (chart,) = css(driver, "#pinned-mlprogram-float16 figure.wide svg")
    assert not chart.is_displayed()
    css(driver, "#pinned-mlprogram-float16 > details > summary")[0].click()
    assert chart.is_displayed()
