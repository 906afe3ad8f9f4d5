"""Files of messages that a client adds to a conversation itself, without having them answered."""

from contextlib import AsyncExitStack
from typing import TypeVar

from channels.db import database_sync_to_async

from accounts.principal import Principal
from chatapi.completions.attachments.resolve import resolve_attachments
from chatapi.completions.attachments.store import drop_bytes, finish_attachments
from chatapi.completions.runs.background_tasks import BackgroundTasks
from conversations.completion_request import CompletionRequest
from conversations.running_answers import UnresolvedMessages, WriteMessages
from media.processing.fetching.fetcher import Fetcher

T = TypeVar("T")


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
