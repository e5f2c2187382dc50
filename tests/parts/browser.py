"""A real browser: Chromium as the system has it, one process for a module, a fresh context for each test."""

import contextlib
import os
import shutil

import pytest

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextlib.contextmanager
def chromium():
    """Give a browser; skips where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("no Chromium on this machine")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


class Watched:
    """A page that remembers what should not happen: errors, refusals of the CSP, requests elsewhere."""

    def __init__(self, browser, url, **context):
        self.context = browser.new_context(
            **{"viewport": {"width": 1366, "height": 768}, "timezone_id": "UTC"} | context
        )
        self.page = self.context.new_page()
        self.url = url
        self.wrong = []
        self.expected = ()
        self.page.set_default_timeout(15_000)
        self.page.on("console", self._told)
        self.page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        self.page.on("dialog", self._dialog)
        self.page.on("request", self._requested)
        self.page.add_init_script(
            "addEventListener('securitypolicyviolation', (event) => "
            "console.error('CSP', event.violatedDirective, event.blockedURI))"
        )

    def open(self, path="/"):
        self.page.goto(self.url + path)
        return self.page

    def nothing_went_wrong(self):
        return [text for text in self.wrong if not any(one in text for one in self.expected)]

    def close(self):
        self.context.close()

    def _told(self, message):
        if message.type in {"error", "warning"}:
            self.wrong.append(f"console {message.type}: {message.text}")

    def _dialog(self, dialog):
        self.wrong.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _requested(self, request):
        if not request.url.startswith((self.url, "data:")):
            self.wrong.append(f"request elsewhere: {request.url}")
