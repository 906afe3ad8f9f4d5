from typing import Any

from django.core.management.base import BaseCommand

from conversations.search.rebuilding import rebuild

REPORTED_EVERY = 10_000


class Command(BaseCommand):
    help = (
        "Make the index of the search anew, beside running calls. Needed after a restored backup that lacked "
        "it, or if searches miss what is there."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        self._next = REPORTED_EVERY
        count = rebuild(self._report)
        self.stdout.write(f"{count} messages and titles are indexed.")

    def _report(self, count: int) -> None:
        if count >= self._next:
            self._next = count + REPORTED_EVERY
            self.stdout.write(f"{count}…")
