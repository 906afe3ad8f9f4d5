"""The rows of the API itself: the exports of users' data."""

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from core.ids import EXPORT, format_id, new_id


class DataExport(models.Model):
    """An archive of all that a user can take with them.

    A worker takes a pending one whose `due_at` has come, and moves that ahead again and again while it works,
    so that another takes over if it dies. Each attempt writes to a name of its own.
    """

    class State(models.TextChoices):
        PENDING = "pending"
        READY = "ready"
        FAILED = "failed"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="data_exports")
    state = models.CharField(max_length=7, choices=State, default=State.PENDING)
    size = models.PositiveBigIntegerField(default=0)
    attempts = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField(default=timezone.now)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    expires_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["user"], condition=Q(state="pending"), name="one_pending_export_a_user"
            ),
        ]

    def __str__(self) -> str:
        return self.public_id

    @property
    def public_id(self) -> str:
        return format_id(EXPORT, self.id)

    @property
    def storage_name(self) -> str:
        return f"{user_folder(self.user_id)}/{self.id.hex}-{self.attempts}.zip"


EXPORTS_FOLDER = "exports"


def user_folder(user_id: int) -> str:
    """Return where the storage keeps a user's exports; no folder of a workspace has such a name."""
    return f"{EXPORTS_FOLDER}/{user_id}"
