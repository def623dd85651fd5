"""The page of examples/serve.py in headless Chromium: what it shows, and its microphone."""

import os

import numpy as np
import pytest
from demo import EXAMPLES, FRAME_SAMPLES, HANGING, answers, as_16_bits, client, clients, serving
from playwright.sync_api import expect, sync_playwright

RECORDING = EXAMPLES / "data" / "sense_and_sensibility.wav"


@pytest.fixture(scope="module")
def browser():
    path = os.environ.get("CHROMIUM")
    assert path, "CHROMIUM: expected a Chromium, found none (Debian: apt-get install chromium)"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path,
            args=[
                "--no-sandbox",  # in containers
                "--use-fake-ui-for-media-stream",
                "--use-fake-device-for-media-stream",
                f"--use-file-for-fake-audio-capture={RECORDING}",
            ],
        )
        yield browser
        browser.close()


@pytest.fixture
def page(browser):
    """A page, on which no program may fail."""
    page = browser.new_page()
    page.set_default_timeout(1000 * HANGING)
    failures = []
    page.on("pageerror", lambda error: failures.append(str(error)))
    yield page
    page.close()
    assert failures == []


def test_clients_and_latencies(page, tmp_path):
    frames, count = 40, 3
    samples = np.sin(np.arange(frames * FRAME_SAMPLES) / 10).astype(np.float32) / 2
    with serving() as address:
        page.goto(f"http://{address}/")
        expect(page).to_have_title("Voice activity, live")
        expect(page.locator("#count")).to_have_text("0")
        with clients(address, count) as connections:
            for connection in connections:
                connection.send(as_16_bits(samples))
            last = [answers(connection, frames)[-1] for connection in connections]
            expect(page.locator("#count")).to_have_text(str(count))
            expect(page.locator("#frames")).to_have_text(str(count * frames))
            check_numbers(page, last, count * frames)
            page.screenshot(path=os.environ.get("SCREENSHOT", tmp_path / "page.png"))
        expect(page.locator("#count")).to_have_text("0")


def check_numbers(page, probabilities, frames):
    for name in ("p50", "p99", "step50", "step99"):
        assert page.locator(f"#{name}").inner_text().endswith(" ms")
    tiles = page.locator("#clients div").evaluate_all(
        "tiles => tiles.map(tile => [Number(tile.dataset.probability), tile.textContent])"
    )
    for (shown, text), probability in zip(tiles, probabilities, strict=True):
        assert shown == probability
        assert text.endswith(f": {probability:.3f}")
    bars = page.locator("#histogram div").evaluate_all(
        "bars => bars.map(bar => [Number(bar.dataset.count), bar.clientHeight])"
    )
    assert sum(count for count, _ in bars) == frames
    assert max(height for _, height in bars) > 100


def test_the_microphone(page):
    """Chromium plays the recording as what a microphone hears."""
    with serving() as address:
        page.goto(f"http://{address}/")
        page.locator("#microphone").click()
        expect(page.locator("#count")).to_have_text("1")
        # There is speech after 0.3 s.
        page.wait_for_function(
            "Number(document.querySelector('#clients div')?.dataset.probability) > 0.9"
        )
        assert int(page.locator("#own").get_attribute("data-frame")) > 0


def test_a_full_server_says_so(page):
    with serving("--clients", "1") as address, client(address):
        page.goto(f"http://{address}/")
        page.locator("#microphone").click()
        expect(page.locator("#own")).to_have_text("closed: all places are taken")
