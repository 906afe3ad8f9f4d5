"""Taking in what a call carries beside text: each file is fetched, looked at and stored, each id looked up.

It runs before anything of the call is stored, so a refusal leaves no row and no bytes. Raises `ApiError` that
names the part (`messages[1].content[0].image_url`).
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial
from pathlib import Path
from uuid import UUID

import msgspec
from channels.db import database_sync_to_async
from django.conf import settings
from django.utils import timezone

from chatapi.completions.attachments.media_parts import MediaPart, as_what_it_is, claim_of, fits, wanted_of
from chatapi.completions.attachments.store import ResolvedAttachments, drop_bytes, store
from chatapi.completions.completion_request import CompletionRequest
from conversations.selectors import spoken_messages
from core.exceptions import ApiError, BadRequest, NotFound
from engines.messages import AudioPart, FilePart, ImagePart, Message, Part, SpokenPart, TextPart
from media.inspection import ExpectedMedia, inspect_file, media_api_error
from media.processing.exceptions import MediaError, UnreadableMedia
from media.processing.fetching import Fetcher
from media.selectors import asset_of_file, known_files, last_copy, stored_file
from media.services import StoredFile, check_room
from media.temporary_folders import async_temporary_folder

FILES_A_CALL = 250
AT_ONCE = 4
"""Files of one call that are fetched or looked at together."""
COPY_AGE = timedelta(hours=1)
"""For so long an address is not fetched again."""

_KEYS = {ImagePart: "image_url", AudioPart: "input_audio", FilePart: "file"}


def carries_media(messages: Iterable[Message]) -> bool:
    return any(type(part) in _KEYS or type(part) is SpokenPart for m in messages for part in m.parts)


async def resolve_attachments(
    workspace_id: UUID,
    request: CompletionRequest,
    fetcher: Fetcher,
    folders: AsyncExitStack,
    check: Callable[[Sequence[Message]], None],
) -> ResolvedAttachments:
    """`check` raises what else is to be said against the files; what was fetched lies in `folders`."""
    return await _Intake(workspace_id, request, fetcher, folders).run(check)


class _Intake:
    def __init__(
        self, workspace_id: UUID, request: CompletionRequest, fetcher: Fetcher, folders: AsyncExitStack
    ) -> None:
        self._workspace_id = workspace_id
        self._request = request
        self._fetcher = fetcher
        self._known: dict[str, StoredFile] = {}
        self._files: dict[str, StoredFile] = {}
        self._fetched: dict[str, str] = {}
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._one_at_a_time: defaultdict[object, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._looked_at: dict[object, StoredFile] = {}
        self._fresh: dict[str, StoredFile] = {}
        self._fetched_files: dict[str, Path] = {}
        self._folders = folders

    async def run(self, check: Callable[[Sequence[Message]], None]) -> ResolvedAttachments:
        messages = await self._with_spoken_answers()
        if self._request.uploads:
            self._known = await database_sync_to_async(known_files)(
                self._workspace_id, list(self._request.uploads)
            )
        parts = await self._taken(messages)
        taken = tuple(
            msgspec.structs.replace(
                message, parts=tuple(parts.get((i, j), part) for j, part in enumerate(message.parts))
            )
            for i, message in enumerate(messages)
        )
        check(taken)
        await self._store()
        return ResolvedAttachments(
            taken,
            tuple(self._files.values()),
            self._fetched,
            {sha256: data for sha256, data in self._request.uploads.items() if sha256 in self._files},
            self._fetched_files,
            frozenset(self._fresh),
        )

    async def _taken(self, messages: Sequence[Message]) -> dict[tuple[int, int], Part]:
        """What becomes of each part that is a file, by its place."""
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
                    (i, j): group.create_task(self._part(part, self._path(i, j, part)))
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
            raise _first(errors) from None
        return {place: task.result() for place, task in tasks.items()}

    def _check_count(self, places: Sequence[tuple[int, int, MediaPart]]) -> None:
        if len(places) > FILES_A_CALL:
            i, j, part = places[FILES_A_CALL]
            raise BadRequest(
                f"A call may carry {FILES_A_CALL} pictures, sounds and files; this one has {len(places)}.",
                param=self._path(i, j, part),
                code="array_above_max_length",
            )

    def _path(self, message: int, part_index: int, part: Part) -> str:
        key = _KEYS.get(type(part), "")
        if isinstance(part, FilePart) and part.stands_for:
            key = part.stands_for
        return f"messages[{self._position(message)}].content[{part_index}].{key}"

    def _position(self, message: int) -> int:
        return self._request.positions[message] if self._request.positions else message

    # --- earlier spoken answers, by their id ------------------------------------------------------

    async def _with_spoken_answers(self) -> list[Message]:
        """Each `audio.id` as what was said: its sound, its transcript, and the text beside it."""
        messages = list(self._request.messages)
        ids = {part.id for message in messages for part in message.parts if isinstance(part, SpokenPart)}
        if not ids:
            return messages
        stored = await database_sync_to_async(spoken_messages)(self._workspace_id, ids, timezone.now())
        return [self._restored(index, message, stored) for index, message in enumerate(messages)]

    def _restored(self, index: int, message: Message, stored: dict[str, tuple[Part, ...]]) -> Message:
        parts: list[Part] = []
        for part in message.parts:
            if not isinstance(part, SpokenPart):
                parts.append(part)
            elif part.id in stored:
                said = stored[part.id]
                has_text = any(isinstance(own, TextPart) for own in message.parts)
                parts += [p for p in said if isinstance(p, TextPart) and not has_text]
                parts += [p for p in said if isinstance(p, SpokenPart)]
            else:
                raise BadRequest(
                    f"There is no spoken answer {part.id!r}, or it has expired.",
                    param=f"messages[{self._position(index)}].audio.id",
                    code="audio_not_found",
                )
        return msgspec.structs.replace(message, parts=tuple(parts))

    # --- files ------------------------------------------------------------------------------------

    async def _part(self, part: MediaPart, param: str) -> Part:
        try:
            file = await self._file_of(part, param)
        except MediaError as problem:
            raise media_api_error(problem, param) from problem
        self._files[file.blob.sha256] = file
        return as_what_it_is(part, file.blob)

    async def _file_of(self, part: MediaPart, param: str) -> StoredFile:
        if isinstance(part, ImagePart) and part.url is not None:
            return await self._once(part.url, partial(self._copy_of, part.url))
        if isinstance(part, FilePart) and part.blob is None:
            return await self._named(part, param)
        if part.blob is None:
            raise UnreadableMedia("It holds no data.")
        inspect = partial(self._inline, part.blob.sha256, wanted_of(part), claim_of(part))
        return await self._once((part.blob.sha256, wanted_of(part)), inspect)

    async def _once(self, key: object, look: Callable[[], Awaitable[StoredFile]]) -> StoredFile:
        """A history names the same file again and again."""
        async with self._one_at_a_time[key]:
            if key not in self._looked_at:
                self._looked_at[key] = await look()
            return self._looked_at[key]

    async def _inline(self, sha256: str, wanted: ExpectedMedia | None, claim: str | None) -> StoredFile:
        known = self._known.get(sha256)
        if known is not None and fits(known.blob, wanted):
            return known
        async with self._turn, async_temporary_folder() as folder:
            path = folder / "inline"
            data = self._request.uploads[sha256]
            await asyncio.to_thread(path.write_bytes, data)
            file = await inspect_file(path, wanted=wanted, claimed=claim, sha256=sha256)
        self._fresh[sha256] = file
        return file

    async def _store(self) -> None:
        """Once nothing of the call is refused any more: what a refused one left would count for no quota."""
        if not self._fresh:
            return
        await self._check_room(self._fresh.values())
        uploads = self._request.uploads
        inline = {sha256: uploads[sha256] for sha256 in self._fresh if sha256 in uploads}
        try:
            await asyncio.to_thread(store, self._workspace_id, inline, self._fetched_files)
        except ApiError:
            await drop_bytes(self._workspace_id, self._fresh)
            raise

    async def _check_room(self, files: Iterable[StoredFile]) -> None:
        # in a thread of its own, since it may wait for an upload to the same workspace
        check = database_sync_to_async(check_room, thread_sensitive=False)
        await check([(self._workspace_id, file) for file in files], param="messages")

    async def _copy_of(self, url: str) -> StoredFile:
        """What lies at an address; where it cannot be fetched any more, what lay there before."""
        copy = await database_sync_to_async(last_copy)(self._workspace_id, url)
        if copy is not None and copy.fetched_at > timezone.now() - COPY_AGE:
            return stored_file(copy.asset)
        async with self._turn:
            path = await self._folders.enter_async_context(async_temporary_folder()) / "fetched"
            try:
                await self._fetcher.fetch(url, path)
            except MediaError:
                if copy is not None:
                    return stored_file(copy.asset)
                raise
            file = await inspect_file(path, wanted="image")
        self._fetched[url] = file.blob.sha256
        self._fresh[file.blob.sha256] = file
        self._fetched_files[file.blob.sha256] = path
        return file

    async def _named(self, part: FilePart, param: str) -> StoredFile:
        asset = await database_sync_to_async(asset_of_file)(self._workspace_id, part.file_id or "")
        if asset is None:
            raise NotFound(f"There is no file {part.file_id!r}.", param=f"{param}.file_id")
        file = stored_file(asset)
        if not fits(file.blob, wanted_of(part)):
            what = "picture" if part.stands_for == "image_url" else "sound"
            raise UnreadableMedia(f"The file is no {what}, but {file.blob.media_type}.")
        return file


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """Of several problems the one that is the client's to mend, the first of them."""
    flat = list(_leaves(errors))
    return next((error for error in flat if isinstance(error, ApiError)), flat[0])


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterable[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
