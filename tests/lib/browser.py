"""A headless Chromium for the tests, driven by Playwright;
tests that need it are skipped where one of the two is missing."""
import shutil
from contextlib import contextmanager

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PROGRAM = next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def chromium():
    """The browser."""
    if PROGRAM is None:
        pytest.skip(f"none of {', '.join(NAMES)} is installed")
    sync_api = pytest.importorskip("playwright.sync_api",
                                   reason="playwright is not installed: pip install -r requirements-test.txt")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=PROGRAM, args=["--no-sandbox"])     # its pages are our own
        yield browser
        browser.close()


@contextmanager
def tab(browser, path, **options):
    """A page that shows the file. Fails on an error of a script, on a breach of the security policy,
    on any request but the file."""
    context, faults = browser.new_context(**{"viewport": {"width": 1200, "height": 900}, **options}), []
    page = context.new_page()
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text))
    page.on("dialog", lambda dialog: faults.append("dialog"))
    page.on("request", lambda asked: None
            if asked.url.startswith(("data:image", "blob:", "file:")) else faults.append(asked.url))
    page.set_default_timeout(10_000)
    page.goto(path.as_uri())
    yield page
    context.close()
    assert faults == []
