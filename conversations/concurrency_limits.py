"""Limits on how many answers of a workspace, and of a key, may be in progress at once.

Exact across all processes and after crashes, because the count comes from the database.
"""

from collections import Counter
from collections.abc import Sequence
from uuid import UUID

from django.db import connection

from accounts.models import Workspace
from accounts.principal import Principal
from conversations.models import Completion
from conversations.stored_run import StoredRun
from core.exceptions import RateLimited

RETRY_SECONDS = 1


class ConcurrencyCheck:
    """The check of one transaction, created after the completions that end in it are stored."""

    def __init__(self, runs: Sequence[StoredRun]) -> None:
        limited = {
            who.workspace_id
            for who in (run.principal for run in runs)
            if who.limits.concurrent_streams or who.key_limits.concurrent_streams
        }
        self._running: Counter[UUID | None] = Counter()
        if limited:
            _lock(limited)
            running = Completion.objects.filter(
                state=Completion.State.IN_PROGRESS, workspace_id__in=limited
            ).values_list("workspace_id", "api_key_id")
            self._running.update(id for ids in running for id in ids)

    def check(self, who: Principal) -> None:
        """Raise `RateLimited` if the key or the workspace has reached its limit."""
        self._check("API key", who.key_id, who.key_limits.concurrent_streams)
        self._check("workspace", who.workspace_id, who.limits.concurrent_streams)

    def add(self, who: Principal) -> None:
        self._running.update((who.workspace_id, who.key_id))

    def _check(self, whose: str, id: UUID | None, most: int) -> None:
        if most and id and (running := self._running[id]) >= most:
            raise RateLimited(
                f"Concurrent streams limit reached for this {whose}: Limit {most}, In progress {running}. "
                "Please try again when one of them has ended.",
                retry_after=RETRY_SECONDS,
            )


def _lock(workspaces: set[UUID]) -> None:
    """Lock these, or two processes could count at the same time. SQLite has only one writer anyway."""
    if connection.features.has_select_for_update:
        rows = Workspace.objects.filter(id__in=workspaces).order_by("id").select_for_update(no_key=True)
        list(rows.values_list("id"))
