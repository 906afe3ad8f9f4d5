"""Files of messages that a client adds to a conversation itself, without having them answered."""

from concurrent.futures import Future
from contextlib import AsyncExitStack
from typing import TypeVar

from channels.db import database_sync_to_async

from accounts.principal import Principal
from chatapi.completions.attachments.resolve import resolve_attachments
from chatapi.completions.attachments.store import drop_bytes, finish_attachments
from chatapi.completions.runs.background_tasks import BackgroundTasks
from conversations.completion_request import CompletionRequest
from conversations.running_answers import UnresolvedMessages, WriteMessages
from core.exceptions import ApiError
from media.processing.fetching.fetcher import Fetcher

T = TypeVar("T")

WRITE_SECONDS = 60
"""How long the rest may take beside `CHATAPI_MEDIA_WAIT_SECONDS`, in which files are looked at."""


async def attach(
    who: Principal,
    new: UnresolvedMessages,
    write: WriteMessages[T],
    fetcher: Fetcher,
    background: BackgroundTasks,
) -> T:
    """Resolve the files of new messages, and store both with `write`, in a thread. Raises `ApiError`."""
    request = CompletionRequest(
        dialect="openai", messages=new.messages, uploads=new.uploads, positions=new.positions
    )
    async with AsyncExitStack() as folders:
        resolved = await resolve_attachments(who, request, None, fetcher, folders, new.paths)
        store_rows = database_sync_to_async(write, thread_sensitive=False)
        try:
            written: T = await store_rows(resolved.request.messages, resolved.files)
        except BaseException:
            await drop_bytes(who.workspace_id, resolved.new_digests)
            raise
        background.start_follow_up(finish_attachments, who, resolved, folders=folders.pop_all())
    return written


def wait_until_attached(attaching: Future[T], seconds: float) -> T:
    """Wait in a thread for what `attach` returns. Raises `ApiError`, also if it takes longer than this.

    It is not cancelled then: its rows may be written already, and would be without their files.
    """
    try:
        return attaching.result(seconds)
    except TimeoutError:
        if attaching.done():
            raise
        raise ApiError(
            f"The items were not stored within {seconds} seconds, but may be later. List the items before "
            "you send them again.",
            status=504,
            code="media_timeout",
        ) from None
