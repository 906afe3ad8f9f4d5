"""Making completions: admit a call, start its pump, settle its end. One instance a process and loop."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Any
from uuid import UUID

import msgspec
from channels.db import database_sync_to_async
from django.conf import settings
from django.db import DatabaseError

from chatapi.accounts.authentication import Principal
from chatapi.completions.answers import AnswerHead
from chatapi.completions.intake import TakenIn, carries_media, take_in
from chatapi.completions.limits import check_against_model, check_documents, check_voice
from chatapi.completions.log import EventLog
from chatapi.completions.preparation import prepared, told_to_write_ssml
from chatapi.completions.pump import Asked, Outcome, Pump
from chatapi.completions.replay import replayed
from chatapi.completions.requests import CompletionRequest, OnDisconnect
from chatapi.completions.speaker import Manner
from chatapi.completions.writer import Writer
from chatapi.engines.registry import ModelSpec, Registry
from chatapi.engines.values import Blob, EngineRequest
from chatapi.errors import NotFound, ServiceUnavailable
from chatapi.identifiers import COMPLETION, CONVERSATION, new_id, public
from conversations import processes
from conversations.admission import Admission, Admitted
from conversations.settlement import Settlement, speech_files
from media.fetching import Fetcher, FetchLimits
from media.models import asset_id, rendition_id, storage_name
from media.services import StoredFile, read_name, remember_copies, store_bytes
from media.tasks import enqueue
from media.workshop import shops

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 5.0
DEFAULT_VOICE = "joe"
POLL_SECONDS = 0.25
POLLS = 240
STOP_SECONDS = 10.0
SCOPE_KEY = "chatapi.service"
"""Under which an ASGI scope tells Django's views of the service."""


class Running:
    """A completion that was begun, or joined: its log can be viewed."""

    def __init__(
        self,
        head: AnswerHead,
        conversation_id: str,
        log: EventLog,
        pump: Pump | None = None,
        on_disconnect: OnDisconnect = "continue",
    ) -> None:
        self.head = head
        self.conversation_id = conversation_id
        self.log = log
        self.pump = pump
        self._on_disconnect = on_disconnect

    def viewer_left(self) -> None:
        """A client is gone before the end: the last one's going stops the answer, if that is meant."""
        if self.pump is not None and self._on_disconnect == "cancel" and not self.log.viewers:
            self.pump.cancel()


class CompletionService:
    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.process_id = new_id()
        self._running: dict[UUID, Running] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._writer: Writer | None = None
        self._heartbeat: asyncio.Task[None] | None = None
        self._is_stopping = False

    @property
    def is_started(self) -> bool:
        return self._writer is not None

    async def start(self) -> None:
        """Begin to serve: the writer, this process's mark of life, and the engines."""
        if self.is_started:
            return
        self._loop = asyncio.get_running_loop()
        self._writer = Writer()
        self._fetcher = Fetcher(
            FetchLimits(), allowed_networks=tuple(map(ip_network, settings.CHATAPI_FETCH_NETWORKS))
        )
        await self._say_alive()
        await self._settle_what_the_dead_left()
        self._heartbeat = asyncio.create_task(self._beat())
        await self.registry.start()

    async def stop(self) -> None:
        """Settle what still runs as `interrupted`, then let go of everything."""
        self._is_stopping = True
        pumps = [running.pump for running in self._running.values() if running.pump]
        for pump in pumps:
            pump.cancel("interrupted")
        if pumps:
            await asyncio.wait([pump.task for pump in pumps], timeout=STOP_SECONDS)
        if self._heartbeat:
            self._heartbeat.cancel()
        await self.registry.close()
        await self._fetcher.close()
        await asyncio.to_thread(shops.close_all)
        if self._writer:
            await self._writer.close()
        await database_sync_to_async(processes.say_farewell)(self.process_id)

    async def complete(
        self,
        principal: Principal,
        key_digest: str | None,
        request: CompletionRequest,
        *,
        idempotency_key: str | None = None,
        body_digest: str = "",
    ) -> Running:
        """Store the call and begin to answer it. Raises `ApiError` for every refusal."""
        if self._writer is None or self._is_stopping:
            raise ServiceUnavailable("The service is stopping.")
        spec = self._spec_of(request)
        check_against_model(request, spec, self.registry.engine(spec))
        await check_voice(request, spec)
        taken = TakenIn(request.messages)
        if carries_media(request.messages):
            taken = await take_in(principal.workspace_id, request, self._fetcher)
            check_documents(taken.messages, request.positions, spec)
        admission = Admission(
            completion_id=new_id(),
            process_id=self.process_id,
            principal=principal,
            key_digest=key_digest,
            dialect=request.dialect,
            model=spec.id,
            messages=taken.messages,
            positions=request.positions,
            request=_kept(request),
            at=datetime.now(UTC),
            end_user=request.end_user,
            metadata=request.metadata,
            conversation_id=request.conversation_id,
            parent_message_id=request.parent_message_id,
            idempotency_key=idempotency_key,
            body_digest=body_digest,
            files=taken.files,
        )
        admitted = await self._writer.admit(admission)
        if admitted.repeats is not None:
            return await self._join(admitted.repeats, principal)
        if taken.files:
            await asyncio.to_thread(_follow_up_files, principal.workspace_id, taken)
        return self._begin(admission, admitted, request, spec)

    def _begin(
        self, admission: Admission, admitted: Admitted, request: CompletionRequest, spec: ModelSpec
    ) -> Running:
        pump = self._pump(admission, admitted, request, spec)
        running = Running(
            AnswerHead(public(COMPLETION, admission.completion_id), int(admission.at.timestamp()), spec.id),
            public(CONVERSATION, admitted.conversation_id),
            pump.log,
            pump,
            _on_disconnect(request, spec, may_return=admission.idempotency_key is not None),
        )
        self._running[admission.completion_id] = running
        return running

    def cancel_from_thread(self, completion_id: UUID) -> None:
        """Stop an answer that this process makes, and wait until its end is stored."""
        if self._loop is not None and completion_id in self._running:
            asyncio.run_coroutine_threadsafe(self._cancel(completion_id), self._loop).result()

    async def _cancel(self, completion_id: UUID) -> None:
        running = self._running.get(completion_id)
        if running is not None and running.pump is not None:
            running.pump.cancel()
            await asyncio.wait([running.pump.task], timeout=STOP_SECONDS)

    def _spec_of(self, request: CompletionRequest) -> ModelSpec:
        if request.model is None:
            return self.registry.default
        spec = self.registry.find(request.model)
        if spec is None:
            raise NotFound(
                f"The model {request.model!r} does not exist.", param="model", code="model_not_found"
            )
        return spec

    def _pump(
        self, admission: Admission, admitted: Admitted, request: CompletionRequest, spec: ModelSpec
    ) -> Pump:
        workspace_id = admission.principal.workspace_id
        positions = request.positions or range(len(admission.messages))

        async def prepare(asked: EngineRequest, spec: ModelSpec) -> Asked:
            if "audio" in asked.modalities and "audio" not in spec.output_modalities:
                asked = msgspec.structs.replace(asked, modalities=("text",), audio=None)
            ready = await prepared(asked.messages, spec, workspace_id, positions)
            messages = told_to_write_ssml(ready.messages) if request.ssml else ready.messages
            asked = msgspec.structs.replace(
                asked, messages=messages, read_blob=_reader(workspace_id, ready.names)
            )
            return Asked(asked, ready.substitutes)

        async def settle(outcome: Outcome) -> None:
            try:
                await self._settle(admission, admitted, outcome)
            finally:
                self._running.pop(outcome.completion_id, None)

        return Pump(
            admission.completion_id,
            EngineRequest(
                messages=admitted.history,
                read_blob=_reader(workspace_id, {}),
                tools=request.tools,
                tool_choice=request.tool_choice,
                parallel_tool_calls=request.parallel_tool_calls,
                response_format=request.response_format,
                modalities=request.modalities,
                audio=request.audio,
                params=request.params,
                n=request.n,
                stream=request.stream,
            ),
            spec,
            self.registry,
            prepare=prepare,
            settle=settle,
            manner=_manner(request),
            ssml=request.ssml,
        )

    async def _settle(self, admission: Admission, admitted: Admitted, outcome: Outcome) -> None:
        workspace_id = admission.principal.workspace_id
        if outcome.sounds:
            await asyncio.to_thread(store_bytes, workspace_id, outcome.sounds)
        if self._writer is None:
            raise ServiceUnavailable("The service is stopping.")
        await self._writer.settle(
            Settlement(
                completion_id=outcome.completion_id,
                workspace_id=workspace_id,
                conversation_id=admitted.conversation_id,
                prompt_id=admitted.prompt_id,
                prompt_digest=admitted.prompt_digest,
                state=outcome.state,
                choices=outcome.choices,
                usage=outcome.usage,
                served_by=outcome.served_by,
                ended_at=outcome.ended_at,
                first_event_at=outcome.first_event_at,
                failure=outcome.failure,
                files=speech_files(outcome.choices) if outcome.sounds else (),
            )
        )
        if outcome.sounds:
            await asyncio.to_thread(_begin_renditions, workspace_id, speech_files(outcome.choices))

    async def _join(self, completion_id: UUID, principal: Principal) -> Running:
        """View what the same idempotency key has begun: here, in another process, or long ago."""
        if completion_id in self._running:
            return self._running[completion_id]
        for _ in range(POLLS):
            finished = await database_sync_to_async(replayed)(principal.workspace_id, completion_id)
            if finished is not None:
                return Running(*finished)
            await asyncio.sleep(POLL_SECONDS)
        raise ServiceUnavailable("Another process still makes this answer.", code="made_elsewhere")

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            await self._say_alive()

    async def _settle_what_the_dead_left(self) -> None:
        """Now, not at the next sweep: who starts anew after a crash wants to see its end."""
        try:
            await database_sync_to_async(processes.settle_interrupted)()
        except DatabaseError as error:
            logger.warning("What dead processes left could not be looked for: %s", error)

    async def _say_alive(self) -> None:
        try:
            await database_sync_to_async(processes.say_alive)(self.process_id)
        except DatabaseError as error:
            logger.warning("This process could not say that it lives: %s", error)


def _reader(workspace_id: UUID, names: Mapping[str, str]) -> Callable[[Blob], Awaitable[bytes]]:
    """Reads blobs of a workspace; `names` are the storage names of those that are renditions."""

    async def read_blob(blob: Blob) -> bytes:
        name = names.get(blob.sha256) or storage_name(workspace_id, blob.sha256)
        return await asyncio.to_thread(read_name, name)

    return read_blob


def _manner(request: CompletionRequest) -> Manner | None:
    if "audio" not in request.modalities:
        return None
    return Manner(
        voice=(request.audio and request.audio.voice) or DEFAULT_VOICE,
        kept_seconds=settings.CHATAPI_SPEECH_KEPT_SECONDS,
        whole_format=None if request.stream else request.sound_format,
        voices_folder=settings.CHATAPI_VOICES_FOLDER,
    )


def _follow_up_files(workspace_id: UUID, taken: TakenIn) -> None:
    """After admission: from now on something holds these files."""
    store_bytes(workspace_id, taken.inline)  # again, where the sweep freed the same bytes just before
    remember_copies(workspace_id, taken.fetched)
    _begin_renditions(workspace_id, taken.files)


def _begin_renditions(workspace_id: UUID, files: Iterable[StoredFile]) -> None:
    enqueue(
        rendition_id(asset_id(workspace_id, file.blob.sha256), kind)
        for file in files
        for kind in file.renditions
    )


def _on_disconnect(request: CompletionRequest, spec: ModelSpec, *, may_return: bool) -> OnDisconnect:
    """On `/v1` clients mean "stop" by closing, but not those that hold an idempotency key to come back
    with; the product's own frontend reads on later."""
    by_dialect: OnDisconnect = "cancel" if request.dialect == "openai" and not may_return else "continue"
    return request.on_disconnect or spec.on_disconnect or by_dialect


def _kept(request: CompletionRequest) -> dict[str, Any]:
    """What reviewers see of the request beside its messages: all that was not left at its default."""
    return {name: value for name, default in _KEPT.items() if (value := getattr(request, name)) != default}


_KEPT = {
    name: default
    for name, default in zip(
        CompletionRequest.__struct_fields__[-len(CompletionRequest.__struct_defaults__) :],
        CompletionRequest.__struct_defaults__,
        strict=True,
    )
    if name not in {"uploads", "end_user", "positions"}
}
