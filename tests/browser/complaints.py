"""What a browser complains about while it shows pages: errors in its console, and scripts that failed.

Each violation of a page's policy is an error in the console.
"""

import re

from playwright.sync_api import ConsoleMessage, Page


class Complaints:
    """The complaints of all pages of a test, which fails because of them unless it expects them."""

    def __init__(self) -> None:
        self._made: list[str] = []
        self._expected: list[str] = []

    def watch(self, page: Page) -> None:
        page.on("console", self._note_message)
        page.on("pageerror", lambda error: self._made.append(f"{page.url}: {error}"))

    def _note_message(self, message: ConsoleMessage) -> None:
        address = message.location.get("url", "")
        if message.type in {"error", "warning"} and not address.endswith("/favicon.ico"):
            self._made.append(f"{address}: {message.text}")

    def expect(self, pattern: str) -> None:
        """Say that there will be complaints in which this regular expression is found."""
        self._expected.append(pattern)

    def check(self) -> None:
        """Fail if there were complaints that nobody expected, or none of an expected kind."""
        unexpected = [one for one in self._made if not any(re.search(kind, one) for kind in self._expected)]
        missing = [kind for kind in self._expected if not any(re.search(kind, one) for one in self._made)]
        assert not unexpected, "\n".join(["the browser complains:", *unexpected])
        assert not missing, f"the browser does not complain about {missing}"
