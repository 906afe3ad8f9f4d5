"""Resolving the attachments of a call: each file is fetched, inspected and stored, each id looked up.

This runs before anything of the call is stored, so a refusal leaves no row and no bytes. It raises an
`ApiError` that names the part (`messages[1].content[0].image_url`).
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial
from pathlib import Path

import msgspec
from channels.db import database_sync_to_async
from django.conf import settings
from django.utils import timezone

from accounts.permissions import Permission
from accounts.principal import Principal
from chatapi.completions.attachments.part_detection import (
    MediaPart,
    claimed_format,
    detected_part,
    expected_media,
    is_media_kind,
)
from chatapi.completions.attachments.store import ResolvedAttachments, drop_bytes, store
from chatapi.completions.capabilities import check_documents
from conversations.completion_request import CompletionRequest
from conversations.part_paths import CHAT_PATHS, PartPaths
from conversations.selectors import spoken_answer_parts
from core.exceptions import ApiError, BadRequest, NotFound
from engines.messages import FilePart, ImagePart, Message, Part, SpokenPart, TextPart
from engines.model_spec import ModelSpec
from media.api_errors import media_api_error
from media.inspection import ExpectedMedia, inspect_file
from media.processing.exceptions import MediaError, UnreadableMedia
from media.processing.fetching.fetcher import Fetcher
from media.selectors import find_file_asset, known_files, last_remote_copy, stored_file
from media.services import StoredFile, check_storage_quota
from media.temporary_folders import async_temporary_folder

MAX_FILES_PER_CALL = 250
CONCURRENT_FILES = 4
"""How many files of one call are fetched or inspected at the same time."""
COPY_AGE = timedelta(hours=1)
"""How long a URL is not fetched again."""


async def resolve_attachments(
    who: Principal,
    request: CompletionRequest,
    spec: ModelSpec | None,
    fetcher: Fetcher,
    folders: AsyncExitStack,
    paths: PartPaths = CHAT_PATHS,
) -> ResolvedAttachments:
    """Resolve the attachments of a request to this model, or of messages for whichever model will read them.

    Files that were fetched are in `folders`.
    """
    return await _Resolver(who, request, fetcher, folders, paths).run(spec)


class _Resolver:
    def __init__(
        self,
        who: Principal,
        request: CompletionRequest,
        fetcher: Fetcher,
        folders: AsyncExitStack,
        paths: PartPaths,
    ) -> None:
        self._who = who
        self._paths = paths
        self._workspace_id = who.workspace_id
        self._request = request
        self._fetcher = fetcher
        self._known: dict[str, StoredFile] = {}
        self._files: dict[str, StoredFile] = {}
        self._fetched: dict[str, str] = {}
        self._slots = asyncio.Semaphore(CONCURRENT_FILES)
        self._locks: defaultdict[object, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._loaded: dict[object, StoredFile] = {}
        self._new_files: dict[str, StoredFile] = {}
        self._fetched_files: dict[str, Path] = {}
        self._folders = folders

    async def run(self, spec: ModelSpec | None) -> ResolvedAttachments:
        messages = await self._restore_spoken_answers()
        if self._request.uploads:
            self._known = await database_sync_to_async(known_files)(
                self._workspace_id, list(self._request.uploads)
            )
        parts = await self._resolve_parts(messages)
        resolved = tuple(
            msgspec.structs.replace(
                message, parts=tuple(parts.get((i, j), part) for j, part in enumerate(message.parts))
            )
            for i, message in enumerate(messages)
        )
        if spec is not None:
            check_documents(resolved, self._request.positions, spec)
        await self._store()
        return ResolvedAttachments(
            msgspec.structs.replace(self._request, messages=resolved),
            tuple(self._files.values()),
            self._fetched,
            {sha256: data for sha256, data in self._request.uploads.items() if sha256 in self._files},
            self._fetched_files,
            frozenset(self._new_files),
        )

    async def _resolve_parts(self, messages: Sequence[Message]) -> dict[tuple[int, int], Part]:
        """Return what each part that is a file becomes, by message and part index."""
        places = [
            (i, j, part)
            for i, message in enumerate(messages)
            for j, part in enumerate(message.parts)
            if isinstance(part, MediaPart)
        ]
        self._check_count(places)
        try:
            async with asyncio.timeout(settings.CHATAPI_MEDIA_WAIT_SECONDS), asyncio.TaskGroup() as group:
                tasks = {
                    (i, j): group.create_task(self._resolve_part(part, self._param_path(i, j, part)))
                    for i, j, part in places
                }
        except TimeoutError:
            raise BadRequest(
                f"The files of this call could not be looked at within "
                f"{settings.CHATAPI_MEDIA_WAIT_SECONDS} seconds.",
                status=504,
                type="server_error",
                code="media_timeout",
            ) from None
        except ExceptionGroup as errors:
            raise _client_error(errors) from None
        return {place: task.result() for place, task in tasks.items()}

    def _check_count(self, places: Sequence[tuple[int, int, MediaPart]]) -> None:
        if len(places) > MAX_FILES_PER_CALL:
            i, j, part = places[MAX_FILES_PER_CALL]
            raise BadRequest(
                f"A call may carry {MAX_FILES_PER_CALL} pictures, sounds and files; "
                f"this one has {len(places)}.",
                param=self._param_path(i, j, part),
                code="array_above_max_length",
            )

    def _param_path(self, message: int, part_index: int, part: Part) -> str:
        return self._paths.path(self._position(message), part_index, part)

    def _position(self, message: int) -> int:
        return self._request.positions[message] if self._request.positions else message

    # --- earlier spoken answers, by their id ------------------------------------------------------

    async def _restore_spoken_answers(self) -> list[Message]:
        """Replace each `audio.id` with what was said: its sound, its transcript, and the text beside it."""
        messages = list(self._request.messages)
        ids = {part.id for message in messages for part in message.parts if isinstance(part, SpokenPart)}
        if not ids:
            return messages
        self._who.require(Permission.HISTORY_READ)
        stored = await database_sync_to_async(spoken_answer_parts)(self._who, ids, timezone.now())
        return [self._restore(index, message, stored) for index, message in enumerate(messages)]

    def _restore(self, index: int, message: Message, stored: dict[str, tuple[Part, ...]]) -> Message:
        parts: list[Part] = []
        for part in message.parts:
            if not isinstance(part, SpokenPart):
                parts.append(part)
            elif part.id in stored:
                spoken_parts = stored[part.id]
                has_text = any(isinstance(own, TextPart) for own in message.parts)
                parts += [p for p in spoken_parts if isinstance(p, TextPart) and not has_text]
                for spoken in (p for p in spoken_parts if isinstance(p, SpokenPart)):
                    parts.append(spoken)
                    if spoken.blob is not None:  # it may be another conversation's
                        self._files[spoken.blob.sha256] = StoredFile(spoken.blob)
            else:
                raise BadRequest(
                    f"There is no spoken answer {part.id!r}, or it has expired.",
                    param=f"messages[{self._position(index)}].audio.id",
                    code="audio_not_found",
                )
        return msgspec.structs.replace(message, parts=tuple(parts))

    # --- files ------------------------------------------------------------------------------------

    async def _resolve_part(self, part: MediaPart, param: str) -> Part:
        try:
            file = await self._resolve_file(part, param)
        except MediaError as problem:
            raise media_api_error(problem, param) from problem
        self._files[file.blob.sha256] = file
        return detected_part(part, file.blob)

    async def _resolve_file(self, part: MediaPart, param: str) -> StoredFile:
        if isinstance(part, ImagePart) and part.url is not None:
            return await self._load_once(part.url, partial(self._fetch_url, part.url))
        if isinstance(part, FilePart) and part.blob is None:
            return await self._find_file(part, param)
        if part.blob is None:
            raise UnreadableMedia("It holds no data.")
        inspect = partial(self._load_inline, part.blob.sha256, expected_media(part), claimed_format(part))
        return await self._load_once((part.blob.sha256, expected_media(part)), inspect)

    async def _load_once(self, key: object, load: Callable[[], Awaitable[StoredFile]]) -> StoredFile:
        """Call `load` once per key: a history names the same file again and again."""
        async with self._locks[key]:
            if key not in self._loaded:
                self._loaded[key] = await load()
            return self._loaded[key]

    async def _load_inline(self, sha256: str, wanted: ExpectedMedia | None, claim: str | None) -> StoredFile:
        known = self._known.get(sha256)
        if known is not None and is_media_kind(known.blob, wanted):
            return known
        async with self._slots, async_temporary_folder() as folder:
            path = folder / "inline"
            data = self._request.uploads[sha256]
            await asyncio.to_thread(path.write_bytes, data)
            file = await inspect_file(path, wanted=wanted, claimed=claim, sha256=sha256)
        self._new_files[sha256] = file
        return file

    async def _store(self) -> None:
        """Store the new files, once nothing of the call can be refused anymore.

        Files that a refused call left behind would count toward no quota.
        """
        if not self._new_files:
            return
        await self._check_room(self._new_files.values())
        uploads = self._request.uploads
        inline = {sha256: uploads[sha256] for sha256 in self._new_files if sha256 in uploads}
        try:
            await asyncio.to_thread(store, self._workspace_id, inline, self._fetched_files)
        except ApiError:
            await drop_bytes(self._workspace_id, self._new_files)
            raise

    async def _check_room(self, files: Iterable[StoredFile]) -> None:
        # in a thread of its own, since it may wait for an upload to the same workspace
        check = database_sync_to_async(check_storage_quota, thread_sensitive=False)
        await check([(self._workspace_id, file) for file in files], param=self._paths.list)

    async def _fetch_url(self, url: str) -> StoredFile:
        """Return what is at a URL; if it can no longer be fetched, what was there before."""
        copy = await database_sync_to_async(last_remote_copy)(self._who, url)
        if copy is not None and copy.fetched_at > timezone.now() - COPY_AGE:
            return stored_file(copy.asset)
        async with self._slots:
            path = await self._folders.enter_async_context(async_temporary_folder()) / "fetched"
            try:
                await self._fetcher.fetch(url, path)
            except MediaError:
                if copy is not None:
                    return stored_file(copy.asset)
                raise
            file = await inspect_file(path, wanted="image")
        self._fetched[url] = file.blob.sha256
        self._new_files[file.blob.sha256] = file
        self._fetched_files[file.blob.sha256] = path
        return file

    async def _find_file(self, part: FilePart, param: str) -> StoredFile:
        self._who.require(Permission.FILES)
        asset = await database_sync_to_async(find_file_asset)(self._who, part.file_id or "")
        if asset is None:
            raise NotFound(f"There is no file {part.file_id!r}.", param=f"{param}.file_id")
        file = stored_file(asset)
        if not is_media_kind(file.blob, expected_media(part)):
            what = "picture" if part.stands_for == "image_url" else "sound"
            raise UnreadableMedia(f"The file is no {what}, but {file.blob.media_type}.")
        return file


def _client_error(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the first error that the client can fix, or else the first error."""
    flat = list(_flatten(errors))
    return next((error for error in flat if isinstance(error, ApiError)), flat[0])


def _flatten(group: BaseExceptionGroup[BaseException]) -> Iterable[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _flatten(error)
        else:
            yield error
