"""The endpoint `POST /v1/files`."""

import asyncio
from pathlib import Path

import msgspec
from channels.db import database_sync_to_async
from django.conf import settings
from starlette.types import Scope

from accounts.asgi_endpoints import AuthenticatedEndpoint
from accounts.models import END_USER_LENGTH
from accounts.permissions import Permission
from accounts.principal import Caller, Principal
from core.exceptions import BadRequest, Forbidden
from core.http.asgi_endpoint import Receiver, Sender, cancel_on_disconnect, watch_disconnect
from core.http.responses import send_response
from media.api.form_reader import Form, Upload, read_form
from media.api.serializers import FileSerializer
from media.file_library import (
    DEFAULT_PURPOSE,
    MAX_LIFETIME_SECONDS,
    MIN_LIFETIME_SECONDS,
    PURPOSES,
    NewFile,
    check_quota,
    create_file,
)
from media.inspection import inspect_file
from media.models import File
from media.renditions.tasks import notify_workers
from media.services import store_file

EXPIRES_AFTER, ANCHOR, SECONDS = "expires_after", "expires_after[anchor]", "expires_after[seconds]"


class ExpiresAfter(msgspec.Struct):
    anchor: str | None = None
    seconds: int | None = None


class UploadEndpoint(AuthenticatedEndpoint):
    permission = Permission.FILES

    async def respond_to(self, caller: Caller, scope: Scope, receive: Receiver, send: Sender) -> None:
        workspace_id, limit = caller.principal.workspace_id, settings.CHATAPI_MAX_UPLOAD_BYTES
        async with read_form(workspace_id, scope, receive, limit) as form:
            purpose, expires_after, upload = _purpose(form), _expires_after(form), form.file
            end_user = _end_user(form, caller.principal)
            with watch_disconnect(receive) as is_gone:
                stored = await cancel_on_disconnect(is_gone, inspect_file(upload.path, sha256=upload.sha256))
            new = NewFile(caller, upload.filename, stored, purpose, expires_after, end_user)
            file = await _save(new, upload)
        await asyncio.to_thread(notify_workers, len(stored.renditions))
        encoded = await database_sync_to_async(_encode)(file)
        await send_response(send, 200, [(b"content-type", b"application/json")], encoded)


async def _save(new: NewFile, upload: Upload) -> File:
    # in their own threads, since both may wait for another upload to the same workspace
    await database_sync_to_async(check_quota, thread_sensitive=False)(new)  # before any bytes are left behind
    await _store_bytes(new, upload.path)
    file: File = await database_sync_to_async(create_file, thread_sensitive=False)(new)
    await _store_bytes(new, upload.path)  # the same bytes may have been deleted before the row existed
    return file


async def _store_bytes(new: NewFile, path: Path) -> None:
    await asyncio.to_thread(store_file, new.caller.principal.workspace_id, new.stored.blob.sha256, path)


def _encode(file: File) -> bytes:
    return msgspec.json.encode(FileSerializer(file).data)


def _purpose(form: Form) -> str:
    purpose = form.text("purpose")
    if purpose is None:
        return DEFAULT_PURPOSE
    if purpose not in PURPOSES:
        known = ", ".join(f"'{purpose}'" for purpose in PURPOSES)
        raise BadRequest(f"Invalid value for 'purpose': it is not one of {known}.", param="purpose")
    return purpose


def _end_user(form: Form, who: Principal) -> str:
    end_user = form.text("user") or ""
    if len(end_user) > END_USER_LENGTH:
        raise BadRequest(
            f"Invalid 'user': it has more than {END_USER_LENGTH} characters.",
            param="user",
            code="string_above_max_length",
        )
    if who.token_id is not None and end_user not in ("", who.end_user):
        raise Forbidden("This token is for another end user.", param="user", code="another_end_user")
    return end_user


def _expires_after(form: Form) -> int | None:
    anchor, seconds = _expiry(form)
    if anchor is None and seconds is None:
        return None
    if anchor != "created_at":
        raise BadRequest(f"Invalid value for '{ANCHOR}': it must be 'created_at'.", param=ANCHOR)
    if seconds is None or not (seconds.isascii() and seconds.isdigit() and len(seconds) < 10):
        raise BadRequest(
            f"Invalid type for '{SECONDS}': expected an integer.", param=SECONDS, code="invalid_type"
        )
    if not MIN_LIFETIME_SECONDS <= int(seconds) <= MAX_LIFETIME_SECONDS:
        raise BadRequest(
            f"Invalid value for '{SECONDS}': "
            f"it must be from {MIN_LIFETIME_SECONDS} to {MAX_LIFETIME_SECONDS}.",
            param=SECONDS,
        )
    return int(seconds)


def _expiry(form: Form) -> tuple[str | None, str | None]:
    """Return anchor and seconds, sent as two fields or as one JSON field, which is what Swagger UI sends."""
    combined = form.text(EXPIRES_AFTER)
    if not combined:
        return form.text(ANCHOR), form.text(SECONDS)
    try:
        expiry = msgspec.json.decode(combined, type=ExpiresAfter)
    except msgspec.DecodeError:
        raise BadRequest(
            f"Invalid type for '{EXPIRES_AFTER}': expected an object with 'anchor' and 'seconds'.",
            param=EXPIRES_AFTER,
            code="invalid_type",
        ) from None
    return expiry.anchor, None if expiry.seconds is None else str(expiry.seconds)
