"""Uploaded files: keeping them under a name, listing and deleting them."""

from datetime import timedelta
from functools import partial

import msgspec
from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.ownership import visible_to
from accounts.principal import Caller, Principal
from accounts.revocations import check_may_act
from core.exceptions import NotFound
from core.ids import FILE, parse_id
from core.pagination import Page, PageRequest, read_page
from core.value import Value
from media.models import File, Rendition, Requester, asset_id, rendition_id
from media.renditions.retry import retry_unpaid
from media.selectors import find_file
from media.services import StoredFile, check_storage_quota, register_files

PURPOSES = ("assistants", "batch", "fine-tune", "vision", "user_data", "evals")
DEFAULT_PURPOSE = "user_data"
MIN_LIFETIME_SECONDS, MAX_LIFETIME_SECONDS = 3600, 30 * 24 * 3600
"""The range of seconds after which a file may be set to expire."""


class NewFile(Value, frozen=True):
    """An upload that was inspected. `expires_after` is in seconds, `end_user` whom it is for."""

    caller: Caller
    filename: str
    stored: StoredFile
    purpose: str = DEFAULT_PURPOSE
    expires_after: int | None = None
    end_user: str = ""


def check_quota(new: NewFile) -> None:
    """Raise `ApiError` if the workspace has no room for the file."""
    check_storage_quota([(new.caller.principal.workspace_id, new.stored)], param="file")


def create_file(new: NewFile) -> File:
    """Create the rows of a file whose bytes are stored, if its caller may still act.

    Raises what `check_quota` and `check_may_act` raise.
    """
    try:
        return _create(new)
    except IntegrityError:  # its asset, or the whole workspace, was deleted at this very moment
        try:
            return _create(new)
        except IntegrityError:
            raise NotFound("The workspace is no longer there.") from None


def _create(new: NewFile) -> File:
    who, now = new.caller.principal, timezone.now()
    expires_after = None if new.expires_after is None else timedelta(seconds=new.expires_after)
    asset, requester = asset_id(who.workspace_id, new.stored.blob.sha256), Requester.of(who)
    with transaction.atomic():
        check_quota(new)
        check_may_act(new.caller)
        register_files([(who.workspace_id, msgspec.structs.replace(new.stored, requester=requester))])
        retry_unpaid([rendition_id(asset, kind) for kind in new.stored.renditions], requester)
        return File.objects.create(
            workspace_id=who.workspace_id,
            api_key_id=who.key_id,
            user_id=who.owner_id,
            end_user=who.end_user or new.end_user,
            asset_id=asset,
            filename=new.filename,
            purpose=new.purpose,
            created_at=now,
            expires_at=now + expires_after if expires_after else None,
        )


def delete_file(file: File) -> None:
    """Delete a file; the sweep deletes its bytes, unless something else holds them."""
    file.delete()


def require_file(who: Principal, file_id: str) -> File:
    """Return the file. Raises `NotFound` if it does not exist, has expired, or the caller does not see it."""
    file = find_file(who, file_id)
    if file is None:
        raise NotFound("There is no such file.", param="file_id")
    return file


def file_page(who: Principal, page: PageRequest, *, purpose: str | None, user: str | None) -> Page[File]:
    """Return files with their assets; `user` is an end user whose files alone are wanted."""
    files = File.objects.select_related("asset").filter(visible_to(who))
    files = files.exclude(expires_at__lte=timezone.now())
    if purpose is not None:
        files = files.filter(purpose=purpose)
    if user is not None:
        files = files.filter(end_user=user)
    return read_page(files, page, partial(parse_id, FILE))


def file_renditions(file: File) -> list[Rendition]:
    return list(file.asset.renditions.select_related("asset").order_by("kind"))
