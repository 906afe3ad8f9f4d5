"""`manage.py seed_demo`: fill a database with a history, to try the service on or to measure it."""

import json
import time
from argparse import ArgumentTypeError
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from chatapi.demo.people import ADMIN
from chatapi.demo.seeding import Seeded, Wishes, has_history, seed_history
from conversations.models import Conversation


class Command(BaseCommand):
    help = (
        "Fill the database with a made-up history: workspaces, people, keys, conversations, files, answers "
        "and their costs. It is meant for an empty database; no call must be made meanwhile."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        add = parser.add_argument
        add("--messages", type=_count, default=10_000, metavar="N", help="0: only people; default: 10000")
        add("--workspaces", type=_workspaces, default=8, metavar="N", help="default: 8")
        add("--seed", type=int, default=1, help="the same seed makes the same texts and sizes")
        add("--into-existing", action="store_true", help="add to a database that has a history already")
        add("--json", action="store_true", help="print what was made as JSON, for programs")

    def handle(
        self, *, messages: int, workspaces: int, seed: int, into_existing: bool, **options: Any
    ) -> None:
        if has_history() and not into_existing:
            raise CommandError(
                "This database has a history already. Use an empty one, or say --into-existing to add "
                "made-up workspaces to it: what was billed in them is never deleted."
            )
        began = time.monotonic()
        wishes = Wishes(messages, workspaces, seed, timezone.now().replace(microsecond=0))
        seeded = seed_history(wishes, self.stderr.write)
        self.stderr.write(f"Made in {time.monotonic() - began:.0f} s.")
        if options["json"]:
            self.stdout.write(json.dumps(_facts(seeded)))
            return
        for line in _report(seeded):
            self.stdout.write(line)


def _report(seeded: Seeded) -> list[str]:
    credentials = seeded.credentials
    counts = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in seeded.counts.items())
    return [
        counts,
        f"Sign in with the password {credentials.password}, as {ADMIN} (the admin site) or as the owner of",
        *(f"  {tenant.name}: {tenant.owner_email}, key {tenant.secret}" for tenant in credentials.tenants),
        "None of these can be shown again.",
    ]


def _facts(seeded: Seeded) -> dict[str, Any]:
    """Return what a program needs to try the history out: who can sign in, and a long conversation."""
    largest = seeded.credentials.tenants[0].id
    listed = Conversation.objects.filter(workspace_id=UUID(largest), api_key__isnull=False, deleted_at=None)
    longest = listed.order_by("-message_count").first()
    tenants = [
        {"workspace": tenant.id, "name": tenant.name, "owner": tenant.owner_email, "key": tenant.secret}
        for tenant in seeded.credentials.tenants
    ]
    return {
        "rows": seeded.counts,
        "admin": ADMIN,
        "password": seeded.credentials.password,
        "workspaces": tenants,
        "longest_conversation": longest and longest.public_id,
    }


def _count(text: str) -> int:
    return _number(text, 0, 100_000_000)


def _workspaces(text: str) -> int:
    return _number(text, 1, 1000)


def _number(text: str, least: int, most: int) -> int:
    if not (text.isascii() and text.isdigit() and least <= int(text[:12]) <= most):
        raise ArgumentTypeError(f"{text!r} is no number from {least} to {most:,}")
    return int(text)
