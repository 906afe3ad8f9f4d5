"""Exports of users' data: asked for, made in the background, kept for some days, and deleted."""

import logging
import time
from contextlib import suppress
from datetime import datetime, timedelta
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerError

from accounts.data_export import exported_files
from accounts.models import User
from chatapi.celery import app
from chatapi.data_export.archive import write_archive
from chatapi.models import EXPORTS_FOLDER, DataExport, user_folder
from core.exceptions import NotFound, SessionEnded
from core.ids import EXPORT, parse_id
from media.storage.operations import delete, delete_tree, save_file, walk
from media.temporary_folders import temporary_folder

logger = logging.getLogger(__name__)

LIFETIME = timedelta(days=7)
LEASE = timedelta(minutes=2)
"""How long a worker may be silent until another takes over."""
RENEWAL_SECONDS = 15.0
SAVING_LEASE = timedelta(minutes=15)
"""The same while the archive goes to the storage in one piece."""
MAX_SECONDS = 900.0
"""How long an archive may be written."""
TAKING_SECONDS = 300.0
"""How long a task goes on to take the next export."""
MAX_ATTEMPTS = 3
STRAY_AGE = timedelta(days=1)
MAKE_TASK = "chatapi.tasks.make_data_exports"

State = DataExport.State


class _NotOursError(Exception):
    """The export was deleted, or another worker has taken it."""


# --- asked for ------------------------------------------------------------------------------------


def request_export(user: User) -> DataExport:
    """Return the user's pending export, a new one if there is none; a worker makes it soon."""
    for _ in range(2):
        pending = DataExport.objects.filter(user=user, state=State.PENDING).first()
        if pending is not None:
            return pending
        with suppress(IntegrityError), transaction.atomic():  # asked for twice at once
            created = DataExport.objects.create(user=user)
            transaction.on_commit(_notify_worker)
            return created
    raise SessionEnded  # the user was just deleted


def _notify_worker() -> None:
    try:
        app.send_task(MAKE_TASK, retry=False)
    except (BrokerError, OSError) as error:
        logger.warning("The task broker cannot be reached: %s", error)  # the sweep finds it


def exports_of(user_id: int) -> list[DataExport]:
    """Return a user's exports, newest first."""
    rows = DataExport.objects.filter(user_id=user_id).exclude(expires_at__lte=timezone.now())
    return list(rows.order_by("-id"))


def get_export(user_id: int, public_id: str) -> DataExport:
    """Return a user's export. Raises `NotFound` if it does not exist, has expired, or is somebody else's."""
    id = parse_id(EXPORT, public_id)
    rows = DataExport.objects.filter(user_id=user_id).exclude(expires_at__lte=timezone.now())
    found = rows.filter(id=id).first() if id else None
    if found is None:
        raise NotFound("There is no such export.", param="export_id")
    return found


def delete_export(export: DataExport) -> None:
    """Delete an export with its archive; one that is being made is given up soon."""
    name = export.storage_name
    export.delete()
    _delete_archive(name)


def delete_exports_of_user(user_id: int) -> None:
    """Delete the archives of a deleted user."""
    try:
        delete_tree(user_folder(user_id))
    except OSError as error:
        logger.warning("The exports of user %s stay until they are swept: %s", user_id, error)


# --- made -----------------------------------------------------------------------------------------


def make_due_exports() -> int:
    """Make what is due, one after the other; return how many. Only one is made at a time."""
    made, deadline = 0, time.monotonic() + TAKING_SECONDS
    while time.monotonic() < deadline and (export := _take_next()) is not None:
        _make(export)
        made += 1
    return made


def _take_next() -> DataExport | None:
    """Take what has waited longest, unless another worker is busy with one: archives fill disks."""
    now = timezone.now()
    pending = DataExport.objects.filter(state=State.PENDING)
    if pending.filter(attempts__gt=0, due_at__gt=now).exists():
        return None
    for export in pending.filter(due_at__lte=now).order_by("due_at"):
        ours = pending.filter(pk=export.pk, due_at=export.due_at)
        if export.attempts >= MAX_ATTEMPTS:  # the last one died with its worker
            ours.update(state=State.FAILED, expires_at=now + LIFETIME)
        elif ours.update(due_at=now + LEASE, attempts=F("attempts") + 1):
            export.due_at, export.attempts = now + LEASE, export.attempts + 1
            return export
    return None


class _Lease:
    """A worker's hold on an export, which it renews from time to time."""

    def __init__(self, export: DataExport) -> None:
        self._export = export
        self._begun = self._renewed = time.monotonic()

    def keep(self) -> None:
        now = time.monotonic()
        if now - self._begun > MAX_SECONDS:
            raise TimeoutError(f"The archive takes longer than {MAX_SECONDS:.0f} seconds.")
        if now - self._renewed > RENEWAL_SECONDS:
            self.move(timezone.now() + LEASE)
            self._renewed = now

    def move(self, due_at: datetime, **changes: object) -> None:
        """Say when another worker may take over. Raises `_NotOursError`."""
        ours = DataExport.objects.filter(pk=self._export.pk, state=State.PENDING, due_at=self._export.due_at)
        if not ours.update(due_at=due_at, **changes):
            raise _NotOursError
        self._export.due_at = due_at


def _make(export: DataExport) -> None:
    lease = _Lease(export)
    try:
        size = _store(export, lease)
        lease.move(export.due_at, state=State.READY, size=size, expires_at=timezone.now() + LIFETIME)
    except _NotOursError:
        _delete_archive(export.storage_name)
        return
    except Exception:
        logger.exception("The export %s could not be made", export.public_id)
        _delete_archive(export.storage_name)
        _give_back(export, lease)
        return
    _delete_older(export)


def _give_back(export: DataExport, lease: _Lease) -> None:
    now = timezone.now()
    with suppress(_NotOursError):
        if export.attempts >= MAX_ATTEMPTS:
            lease.move(now, state=State.FAILED, expires_at=now + LIFETIME)
        else:
            lease.move(now + LEASE)


def _store(export: DataExport, lease: _Lease) -> int:
    user = User.objects.filter(pk=export.user_id).first()
    if user is None:
        raise _NotOursError
    with temporary_folder() as folder:
        path = folder / "export.zip"
        size = write_archive(path, exported_files(user), lease.keep)
        lease.move(timezone.now() + SAVING_LEASE)
        save_file(export.storage_name, path)
    return size


def _delete_older(export: DataExport) -> None:
    """Delete what the new archive replaces, so that a user has one."""
    older = DataExport.objects.filter(user_id=export.user_id, pk__lt=export.pk).exclude(state=State.PENDING)
    for row in older:
        delete_export(row)


def _delete_archive(name: str) -> None:
    try:
        delete(name)
    except OSError as error:
        logger.warning("An export's archive stays until it is swept: %s", error)


# --- swept ----------------------------------------------------------------------------------------


def delete_expired_exports(now: datetime | None = None) -> int:
    """Delete what has expired, then archives without a row, such as a dead worker's; return how many."""
    now = now or timezone.now()
    expired = list(DataExport.objects.filter(expires_at__lte=now))
    for export in expired:
        delete_export(export)
    strays = [
        found.name
        for found in walk(EXPORTS_FOLDER)
        if found.modified_at < now - STRAY_AGE and not _has_row(found.name)
    ]
    for name in strays:
        _delete_archive(name)
    return len(expired) + len(strays)


def _has_row(name: str) -> bool:
    try:
        id = UUID(hex=name.rpartition("/")[2].partition("-")[0])
    except ValueError:
        return True  # none of ours
    row = DataExport.objects.filter(pk=id, state=State.READY).first()
    return row is not None and row.storage_name == name
