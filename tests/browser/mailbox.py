"""The mails of a service without a mail server, which its log shows."""

import re

from tests.support.run_command import Run
from tests.support.running_server import wait_until

_MAIL = re.compile(
    r"^To: (?P<to>\S+)\nSubject: (?P<subject>.*)\n\n(?P<text>(?:(?!\d{4}-\d\d-\d\d ).*\n)*)", re.MULTILINE
)
_LINK = r"^https?://\S+$"


class Mailbox:
    def __init__(self, run: Run) -> None:
        self._run = run
        self._known = len(run.error_output)

    def expect(self, to: str, subject: str, pattern: str) -> list[str]:
        """Wait for a mail in which this regular expression is found; return what was found."""
        wait_until(lambda: self._find(to, subject, pattern))
        return self._find(to, subject, pattern)

    def link(self, to: str, subject: str) -> str:
        """Wait for a mail with one link, and return that."""
        [link] = self.expect(to, subject, _LINK)
        return link

    def _find(self, to: str, subject: str, pattern: str) -> list[str]:
        mails = _MAIL.finditer(self._run.error_output[self._known :])
        texts = [mail["text"] for mail in mails if mail["to"] == to and mail["subject"].endswith(subject)]
        return re.findall(pattern, "".join(texts), re.MULTILINE)
