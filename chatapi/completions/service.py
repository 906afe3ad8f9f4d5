"""The completion service: it admits calls, starts their pumps and settles their runs.

There is one instance per process and event loop.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import AsyncExitStack
from contextvars import Context
from functools import partial
from ipaddress import ip_network
from typing import TypeVar
from uuid import UUID

from channels.db import database_sync_to_async
from django.conf import settings
from django.db import DatabaseError

from accounts.principal import Caller, Principal
from accounts.ratelimits.allowance import Allowance
from accounts.revocations import Revocations
from billing.audio_models import AUDIO_MODELS
from billing.holds import ChargeRequest, ChargeSettlement, Hold
from billing.prices import add_declared_prices, mark_free_if_unpriced
from billing.tariffs import Bound
from chatapi.completions import process_heartbeats, recovery
from chatapi.completions.attachments.attach import WRITE_SECONDS, attach, wait_until_attached
from chatapi.completions.attachments.resolve import resolve_attachments
from chatapi.completions.attachments.store import (
    ResolvedAttachments,
    begin_renditions,
    drop_bytes,
    finish_attachments,
)
from chatapi.completions.billable_usage import billing_units
from chatapi.completions.capabilities import check_against_model, check_voice
from chatapi.completions.declared_prices import declared_prices
from chatapi.completions.end_users import narrow_to_end_user
from chatapi.completions.group_commit import GroupCommitWriter, HoldRequest
from chatapi.completions.runs.background_tasks import BackgroundTasks
from chatapi.completions.runs.crash_journal import Journal
from chatapi.completions.runs.event_log import EventLog
from chatapi.completions.runs.pump import Pump
from chatapi.completions.runs.rebuilt_event_log import replay
from chatapi.completions.runs.run import Run
from chatapi.completions.starting_calls import StartingCall, StartingCalls
from chatapi.completions.usage_bounds import expected_tokens
from conversations.completion_request import CompletionRequest
from conversations.running_answers import UnresolvedMessages, WriteMessages
from conversations.settlement import Settlement, speech_files
from conversations.tasks import request_title
from core.exceptions import ApiError, NotFound, ServiceUnavailable
from core.ids import new_id
from engines.answers import Choice, Outcome
from engines.messages import carries_media
from engines.model_registry import Registry
from engines.model_spec import ModelSpec
from engines.served_models import set_engine_loop
from media.processing.fetching.fetcher import Fetcher, FetchLimits
from media.processing.sandbox import pools
from media.services import store_bytes

logger = logging.getLogger(__name__)

T = TypeVar("T")

HEARTBEAT_SECONDS = 5.0
POLL_SECONDS = 0.25
MAX_POLLS = 240
STOP_SECONDS = 10.0


class CompletionService:
    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.process_id = new_id()
        self.pumps: dict[UUID, Pump] = {}
        """The pumps of the runs in progress, by completion id."""
        self.revocations = Revocations()
        self._starting = StartingCalls()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._writer: GroupCommitWriter | None = None
        self._heartbeat: asyncio.Task[None] | None = None
        self._background = BackgroundTasks()
        self._is_stopping = False

    @property
    def is_started(self) -> bool:
        return self._writer is not None

    async def start(self) -> None:
        """Start serving: the writer, this process's heartbeat, and the engines."""
        if self.is_started:
            return
        self._loop = asyncio.get_running_loop()
        set_engine_loop(self._loop)
        self._writer = GroupCommitWriter()
        self._fetcher = Fetcher(
            FetchLimits(), allowed_networks=tuple(map(ip_network, settings.CHATAPI_FETCH_NETWORKS))
        )
        await self._record_heartbeat()
        self._journal = await asyncio.to_thread(
            Journal.open, process_heartbeats.journal_path(self.process_id)
        )
        await database_sync_to_async(self._declare_prices)()
        await self._settle_interrupted()
        self._heartbeat = asyncio.create_task(self._heartbeat_loop())
        await self.registry.start()

    async def stop(self) -> None:
        """Settle running completions as `interrupted`, then release everything."""
        self._is_stopping = True
        pumps = list(self.pumps.values())
        for pump in pumps:
            pump.cancel("interrupted")
        if pumps:
            await asyncio.wait([pump.task for pump in pumps], timeout=STOP_SECONDS)
        await self._background.wait(STOP_SECONDS)
        set_engine_loop(None)
        if self._heartbeat:
            self._heartbeat.cancel()
        await self.revocations.close()
        await self.registry.close()
        await self._fetcher.close()
        await asyncio.to_thread(pools.close_all)
        if self._writer:
            await self._writer.close()
        await asyncio.to_thread(self._journal.close)
        await database_sync_to_async(process_heartbeats.remove_process)(self.process_id)

    async def start_completion(
        self,
        caller: Caller,
        allowance: Allowance,
        request: CompletionRequest,
        *,
        idempotency_key: str | None = None,
        body_digest: str = "",
    ) -> EventLog:
        """Store the call and start to answer it. Raises `ApiError` for every refusal."""
        if self._writer is None or self._is_stopping:
            raise ServiceUnavailable("The service is stopping.")
        try:
            with self._starting.entered(caller.principal, idempotency_key) as call:
                started = await self._start(
                    caller, allowance, request, self._writer, call, idempotency_key, body_digest
                )
            if isinstance(started, EventLog):
                return started
            await allowance.correct_tokens(0)
            return await self._join(started, caller.principal)
        except BaseException:
            await allowance.correct_tokens(0)
            raise

    async def _start(
        self,
        caller: Caller,
        allowance: Allowance,
        request: CompletionRequest,
        writer: GroupCommitWriter,
        call: StartingCall,
        idempotency_key: str | None,
        body_digest: str,
    ) -> EventLog | UUID:
        """Start to answer a call; return its log, or the completion that it repeats."""
        request = narrow_to_end_user(request, caller.principal)
        spec = self._spec_of(request)
        check_against_model(request, spec, self.registry.engine(spec))
        await check_voice(request, spec)
        await allowance.take_tokens(lambda: expected_tokens(request, spec))
        async with AsyncExitStack() as folders:
            resolved = await self._resolve(caller.principal, request, spec, folders, call)
            # made only now: attachments may take minutes, and its time decides prices and orders messages
            run = Run(
                caller=caller,
                request=resolved.request,
                model=spec.id,
                process_id=self.process_id,
                idempotency_key=idempotency_key,
                body_digest=body_digest,
                files=resolved.files,
                candidates=tuple(self.registry.candidates(spec)),
                allowance=allowance,
            )
            repeats = await self._admit(run, resolved, writer, call)
            if repeats is not None:
                return repeats
            log = self._begin(run, resolved, folders)
            if call.is_cancelled:
                self.pumps[run.id].cancel()
            return log

    async def _resolve(
        self,
        who: Principal,
        request: CompletionRequest,
        spec: ModelSpec,
        folders: AsyncExitStack,
        call: StartingCall,
    ) -> ResolvedAttachments:
        if carries_media(request.messages):
            async with call.preparation():
                return await resolve_attachments(who, request, spec, self._fetcher, folders)
        return ResolvedAttachments(request)

    async def _admit(
        self, run: Run, resolved: ResolvedAttachments, writer: GroupCommitWriter, call: StartingCall
    ) -> UUID | None:
        """Store a run; return the completion that it repeats, if it does, and nothing is stored."""
        try:
            call.check()
            run.record_admission(await writer.admit(run))
        except ApiError:
            await drop_bytes(run.workspace_id, resolved.new_digests)
            raise
        if run.admission.repeats is not None:
            await drop_bytes(run.workspace_id, resolved.new_digests)
        return run.admission.repeats

    def _begin(self, run: Run, resolved: ResolvedAttachments, folders: AsyncExitStack) -> EventLog:
        pump = Pump(run, self.registry, self._journal.slot(run.id), partial(self._settle, run))
        self.pumps[run.id] = pump
        self.revocations.add(run.caller, pump.cancel)
        pump.start()
        if run.files:
            self._background.start_follow_up(
                finish_attachments, run.principal, resolved, folders=folders.pop_all()
            )
        return pump.log

    def written(self, completion_id: UUID) -> Sequence[Choice]:
        """Return what this process has written of an answer so far; nothing if another process makes it."""
        pump = self.pumps.get(completion_id)
        return pump.written if pump else ()

    async def hold(self, request: ChargeRequest, bound: Bound) -> Hold:
        """Hold the most that a call other than a completion may cost. Raises `ApiError` for every refusal."""
        if self._writer is None or self._is_stopping:
            raise ServiceUnavailable("The service is stopping.")
        return await self._writer.hold(HoldRequest(request, bound))

    async def settle(self, end: ChargeSettlement) -> None:
        """Store what such a call used."""
        if self._writer is not None:
            await self._writer.settle(end)

    def cancel_from_thread(self, completion_id: UUID) -> None:
        """Cancel a run of this process, and wait until its end is stored."""
        if self._loop is not None and completion_id in self.pumps:
            asyncio.run_coroutine_threadsafe(self._cancel(completion_id), self._loop).result()

    def cancel_starting_from_thread(self, workspace_id: UUID, key: str) -> bool:
        """Cancel the calls with an idempotency key, as it is stored, that are not admitted yet.

        Waits until they have ended, or have a completion; returns whether there were any.
        """
        if self._loop is None:
            return False
        cancelling = self._starting.cancel(workspace_id, key)
        return asyncio.run_coroutine_threadsafe(cancelling, self._loop).result()

    async def _cancel(self, completion_id: UUID) -> None:
        pump = self.pumps.get(completion_id)
        if pump is not None:
            pump.cancel()
            await asyncio.wait([pump.task], timeout=STOP_SECONDS)

    def attach_from_thread(self, who: Principal, new: UnresolvedMessages, write: WriteMessages[T]) -> T:
        """Store new messages with their files, as `attach` does."""
        if self._loop is None or self._is_stopping:
            raise ServiceUnavailable("The service is stopping.")
        work = attach(who, new, write, self._fetcher, self._background)
        # not in the request's context, in which database work waits for the thread that waits here
        attaching = Context().run(asyncio.run_coroutine_threadsafe, work, self._loop)
        return wait_until_attached(attaching, settings.CHATAPI_MEDIA_WAIT_SECONDS + WRITE_SECONDS)

    def served_model(self, request: CompletionRequest) -> str | None:
        """Return the id of the model that a request asks for; None if it is not served."""
        if request.model is None:
            return self.registry.default.id
        spec = self.registry.find(request.model)
        return None if spec is None else spec.id

    def _spec_of(self, request: CompletionRequest) -> ModelSpec:
        if request.model is None:
            return self.registry.default
        spec = self.registry.find(request.model)
        if spec is None:
            raise NotFound(
                f"The model {request.model!r} does not exist.", param="model", code="model_not_found"
            )
        return spec

    async def _settle(self, run: Run, outcome: Outcome) -> None:
        try:
            await self._store_end(run, outcome)
        finally:
            if pump := self.pumps.pop(run.id, None):
                self.revocations.remove(run.caller, pump.cancel)
            if run.allowance.holds_tokens:
                self._background.start(run.allowance.correct_tokens(outcome.usage.total_tokens))

    async def _store_end(self, run: Run, outcome: Outcome) -> None:
        keeps_sounds = bool(outcome.sounds) and run.request.is_stored
        if keeps_sounds:
            await asyncio.to_thread(store_bytes, run.workspace_id, outcome.sounds)
        if self._writer is None:
            raise ServiceUnavailable("The service is stopping.")
        units = billing_units(outcome.usage, outcome.images)
        await self._writer.settle(Settlement(run, outcome, units))
        if keeps_sounds:
            self._background.start_follow_up(begin_renditions, speech_files(outcome))
        if settings.CHATAPI_TITLE_MODEL and run.admission.gives_title and outcome.state == "completed":
            self._background.start_follow_up(request_title, run.admission.conversation_id)

    async def _join(self, completion_id: UUID, who: Principal) -> EventLog:
        """Return the log of what the same key started: here, in another process, or long ago."""
        if completion_id in self.pumps:
            return self.pumps[completion_id].log
        for _ in range(MAX_POLLS):
            finished: EventLog | None = await database_sync_to_async(replay)(who, completion_id)
            if finished is not None:
                return finished
            await asyncio.sleep(POLL_SECONDS)
        raise ServiceUnavailable("Another process still makes this answer.", code="made_elsewhere")

    async def _heartbeat_loop(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            await self._record_heartbeat()

    async def _settle_interrupted(self) -> None:
        """Settle what dead processes left, without waiting for the next sweep.

        Whoever restarts the service after a crash wants to see how its runs ended.
        """
        try:
            await database_sync_to_async(recovery.settle_interrupted)()
        except DatabaseError as error:
            logger.warning("What dead processes left could not be looked for: %s", error)

    def _declare_prices(self) -> None:
        """Put the prices of the models file into the price book.

        What answers on this machine is free unless it has a price.
        """
        add_declared_prices(declared_prices(spec for spec in self.registry if spec.price is not None))
        mark_free_if_unpriced([*(spec.id for spec in self.registry if spec.is_local), *AUDIO_MODELS.values()])

    async def _record_heartbeat(self) -> None:
        try:
            await database_sync_to_async(process_heartbeats.record_heartbeat)(self.process_id)
        except DatabaseError as error:
            logger.warning("This process could not say that it lives: %s", error)
