"""The rows of the API itself: the exports of users' data, and what became of calls."""

from datetime import datetime
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models import END_USER_LENGTH, ApiKey, Workspace
from core.ids import EXPORT, REQUEST, format_id, moment_of, new_id


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


class RequestRecord(models.Model):
    """What became of a call of the API. It holds nothing of what was said in it, and no key.

    Its id is that of `x-request-id`, and tells when the call came. No foreign key has a constraint: a record
    that comes after its workspace was deleted must not keep all others that are written with it from being
    stored, and writing them must lock nothing.

    `user` is who called in a session; `status` is null where nothing was answered. What most records lack has
    a default in the database, so that they need not say it.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    workspace = models.ForeignKey(
        Workspace, models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    api_key = models.ForeignKey(
        ApiKey, models.DO_NOTHING, null=True, db_constraint=False, db_index=False, related_name="+"
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.DO_NOTHING,
        null=True,
        db_constraint=False,
        db_index=False,
        related_name="+",
    )
    end_user = models.CharField(max_length=END_USER_LENGTH, db_default="")
    key_prefix = models.CharField(max_length=20, help_text="Kept when the key is deleted.")
    method = models.CharField(max_length=16)
    route = models.CharField(max_length=200, help_text="Empty where the service has none.")
    model = models.CharField(max_length=200)
    completion_id = models.CharField(max_length=48, help_text="As clients see it.")
    status = models.PositiveSmallIntegerField(null=True)
    code = models.CharField(max_length=64, db_default="")
    param = models.CharField(max_length=200, db_default="")
    upstream_failure = models.CharField(max_length=16, db_default="")
    milliseconds = models.PositiveBigIntegerField()
    client_request_id = models.CharField(max_length=128, db_default="")

    class Meta:
        verbose_name = "request"
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["workspace", "-id"], name="request_of_workspace"),
            # partial, so that most calls write none of them
            models.Index(fields=["-id"], name="request_failed", condition=~Q(code="")),
            models.Index(
                fields=["client_request_id"], name="request_by_client_id", condition=~Q(client_request_id="")
            ),
        ]

    def __str__(self) -> str:
        return self.public_id

    @property
    def public_id(self) -> str:
        return format_id(REQUEST, self.id)

    @property
    def created_at(self) -> datetime:
        return moment_of(self.id)

    @property
    def of_key(self) -> "RequestRecord | None":
        """The record itself if a key called, whose id and prefix it has."""
        return None if self.api_key_id is None else self


class RequestCount(models.Model):
    """How many calls of an hour have no record: nobody knows who made them, or there were too many."""

    class Kind(models.TextChoices):
        UNAUTHENTICATED = "unauthenticated", "without a valid key"
        LOST = "lost", "lost"

    hour = models.DateTimeField()
    kind = models.CharField(max_length=15, choices=Kind)
    count = models.PositiveBigIntegerField()

    class Meta:
        verbose_name = "requests without a record"
        verbose_name_plural = "requests without a record"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["hour", "kind"], name="one_request_count_an_hour_and_kind"),
        ]

    def __str__(self) -> str:
        return f"{self.count} {self.get_kind_display()}"
