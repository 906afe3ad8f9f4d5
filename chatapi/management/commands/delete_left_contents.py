"""Delete what former members left in a workspace."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from accounts.management.arguments import workspace_named
from chatapi.left_contents import count_left_contents, delete_left_contents


class Command(BaseCommand):
    help = (
        "Delete the private conversations and files of people who left a workspace, or whose accounts were "
        "deleted. Without --yes, only count them."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("workspace", help="its id")
        parser.add_argument("--shared", action="store_true", help="delete what they shared, too")
        parser.add_argument("--yes", action="store_true", help="delete, and do not only count")

    def handle(self, *, workspace: str, shared: bool, yes: bool, **options: Any) -> None:
        found = workspace_named(workspace)
        treat = delete_left_contents if yes else count_left_contents
        counts = treat(found.pk, shared=shared)
        done = "deleted" if yes else "to be deleted; add --yes to delete them"
        self.stdout.write(", ".join(f"{name}: {count}" for name, count in counts.items()) + f" ({done})")
