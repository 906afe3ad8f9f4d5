"""The completion service: it admits calls, starts their pumps and settles their runs.

There is one instance per process and event loop.
"""

import asyncio
import logging
from contextlib import AsyncExitStack
from functools import partial
from ipaddress import ip_network
from uuid import UUID

import msgspec
from channels.db import database_sync_to_async
from django.conf import settings
from django.db import DatabaseError

from accounts.asgi_auth import Caller
from accounts.ratelimits.allowance import Allowance
from billing.holds import ChargeRequest, ChargeSettlement, Hold
from billing.prices import add_declared_prices, mark_free_if_unpriced
from billing.tariffs import Bound
from chatapi.completions import process_heartbeats, recovery
from chatapi.completions.attachments.prepare import add_ssml_instructions, prepare_messages
from chatapi.completions.attachments.resolve import carries_media, resolve_attachments
from chatapi.completions.attachments.store import (
    ResolvedAttachments,
    begin_renditions,
    blob_reader,
    drop_new_bytes,
    finish_attachments,
)
from chatapi.completions.billable_usage import billing_units, count_images
from chatapi.completions.capabilities import check_against_model, check_documents, check_voice
from chatapi.completions.completion_request import CompletionRequest
from chatapi.completions.declared_prices import AUDIO_MODELS, declared_prices
from chatapi.completions.group_commit import GroupCommitWriter, HoldRequest
from chatapi.completions.runs.background_tasks import BackgroundTasks
from chatapi.completions.runs.crash_journal import Journal
from chatapi.completions.runs.pump import PreparedRequest, Pump, RunOutcome
from chatapi.completions.runs.rebuilt_event_log import replay
from chatapi.completions.runs.run import Run, disconnect_policy
from chatapi.completions.token_counts import expected_tokens
from chatapi.completions.usage_bounds import limit_output
from chatapi.completions.validated_request import (
    ValidatedRequest,
    build_admission,
    build_engine_request,
    speech_options,
)
from conversations.admission import Admitted
from conversations.admission_request import AdmissionRequest
from conversations.settlement import Settlement, speech_files
from core.exceptions import ApiError, NotFound, ServiceUnavailable
from core.ids import COMPLETION, CONVERSATION, format_id, new_id
from engines.answers import AnswerHead
from engines.model_registry import Registry
from engines.model_spec import ModelSpec
from engines.requests import EngineRequest
from media.processing.fetching import Fetcher, FetchLimits
from media.processing.sandbox import pools
from media.services import store_bytes

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 5.0
POLL_SECONDS = 0.25
MAX_POLLS = 240
STOP_SECONDS = 10.0
SCOPE_KEY = "chatapi.service"
"""The key of an ASGI scope under which Django's views find the service."""


class CompletionService:
    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.process_id = new_id()
        self._runs: dict[UUID, Run] = {}
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
        self._writer = GroupCommitWriter()
        self._fetcher = Fetcher(
            FetchLimits(), allowed_networks=tuple(map(ip_network, settings.CHATAPI_FETCH_NETWORKS))
        )
        await self._record_heartbeat()
        self._journal = await asyncio.to_thread(Journal, process_heartbeats.journal_path(self.process_id))
        await database_sync_to_async(self._declare_prices)()
        await self._settle_interrupted()
        self._heartbeat = asyncio.create_task(self._heartbeat_loop())
        await self.registry.start()

    async def stop(self) -> None:
        """Settle running completions as `interrupted`, then release everything."""
        self._is_stopping = True
        pumps = [running.pump for running in self._runs.values() if running.pump]
        for pump in pumps:
            pump.cancel("interrupted")
        if pumps:
            await asyncio.wait([pump.task for pump in pumps], timeout=STOP_SECONDS)
        await self._background.wait(STOP_SECONDS)
        if self._heartbeat:
            self._heartbeat.cancel()
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
    ) -> Run:
        """Store the call and start to answer it. Raises `ApiError` for every refusal."""
        if self._writer is None or self._is_stopping:
            raise ServiceUnavailable("The service is stopping.")
        spec = self._spec_of(request)
        check_against_model(request, spec, self.registry.engine(spec))
        await check_voice(request, spec)
        await allowance.take_tokens(lambda: expected_tokens(request))
        try:
            return await self._admit(
                ValidatedRequest(caller, allowance, request, spec, idempotency_key, body_digest), self._writer
            )
        except BaseException:
            await allowance.correct_tokens(0)
            raise

    async def _admit(self, call: ValidatedRequest, writer: GroupCommitWriter) -> Run:
        request, workspace_id = call.request, call.caller.principal.workspace_id
        async with AsyncExitStack() as folders:
            resolved = ResolvedAttachments(request.messages)
            if carries_media(request.messages):
                check = partial(check_documents, positions=request.positions, spec=call.spec)
                resolved = await resolve_attachments(workspace_id, request, self._fetcher, folders, check)
            candidates = tuple(self.registry.candidates(call.spec))
            admission = build_admission(call, resolved, candidates, self.process_id)
            try:
                admitted = await writer.admit(admission)
            except ApiError:
                await drop_new_bytes(workspace_id, resolved)
                raise
            if admitted.repeats is None:
                running = self._begin(call, admission, admitted)
                if resolved.files:
                    self._background.start_follow_up(
                        finish_attachments, workspace_id, resolved, folders=folders.pop_all()
                    )
                return running
            await drop_new_bytes(workspace_id, resolved)
        await call.allowance.correct_tokens(0)
        return await self._join(admitted.repeats, workspace_id)

    def _begin(self, call: ValidatedRequest, admission: AdmissionRequest, admitted: Admitted) -> Run:
        pump = self._start_pump(call, admission, admitted)
        running = Run(
            AnswerHead(
                format_id(COMPLETION, admission.completion_id), int(admission.at.timestamp()), call.spec.id
            ),
            format_id(CONVERSATION, admitted.conversation_id),
            pump.log,
            pump,
            disconnect_policy(call.request, call.spec, may_return=call.idempotency_key is not None),
        )
        self._runs[admission.completion_id] = running
        return running

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
        if self._loop is not None and completion_id in self._runs:
            asyncio.run_coroutine_threadsafe(self._cancel(completion_id), self._loop).result()

    async def _cancel(self, completion_id: UUID) -> None:
        running = self._runs.get(completion_id)
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

    def _start_pump(self, call: ValidatedRequest, admission: AdmissionRequest, admitted: Admitted) -> Pump:
        request, workspace_id = call.request, admission.principal.workspace_id
        positions = request.positions or range(len(admission.messages))
        hold = admitted.hold

        async def prepare(model_request: EngineRequest, spec: ModelSpec) -> PreparedRequest:
            if "audio" in model_request.modalities and "audio" not in spec.output_modalities:
                model_request = msgspec.structs.replace(model_request, modalities=("text",), audio=None)
            if hold.amount:
                model_request = msgspec.structs.replace(
                    model_request, params=limit_output(model_request.params, spec)
                )
            prepared = await prepare_messages(model_request.messages, spec, workspace_id, positions)
            messages = add_ssml_instructions(prepared.messages) if request.ssml else prepared.messages
            model_request = msgspec.structs.replace(
                model_request, messages=messages, read_blob=blob_reader(workspace_id, prepared.names)
            )
            return PreparedRequest(
                model_request, prepared.substitutes, count_images(messages, spec), hold.prices.get(spec.id)
            )

        async def settle(outcome: RunOutcome) -> None:
            try:
                await self._settle(admission, admitted, outcome)
            finally:
                self._runs.pop(outcome.completion_id, None)
                if call.allowance.holds_tokens:
                    self._background.start(call.allowance.correct_tokens(outcome.usage.total_tokens))

        return Pump(
            admission.completion_id,
            build_engine_request(request, admitted, blob_reader(workspace_id, {})),
            call.spec,
            self.registry,
            slot=self._journal.slot(admission.completion_id),
            prepare=prepare,
            settle=settle,
            speech_options=speech_options(request),
            ssml=request.ssml,
        )

    async def _settle(self, admission: AdmissionRequest, admitted: Admitted, outcome: RunOutcome) -> None:
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
                charge=ChargeSettlement(
                    hold=admitted.hold,
                    model=outcome.served_by,
                    units=billing_units(outcome.usage, outcome.images),
                    end=outcome.state,
                    at=outcome.ended_at,
                    is_estimated=outcome.usage.estimated,
                ),
                served_by=outcome.served_by,
                ended_at=outcome.ended_at,
                first_event_at=outcome.first_event_at,
                failure=outcome.failure,
                files=speech_files(outcome.choices) if outcome.sounds else (),
            )
        )
        if outcome.sounds:
            self._background.start_follow_up(begin_renditions, speech_files(outcome.choices))

    async def _join(self, completion_id: UUID, workspace_id: UUID) -> Run:
        """Return the run that the same idempotency key started: here, in another process, or long ago."""
        if completion_id in self._runs:
            return self._runs[completion_id]
        for _ in range(MAX_POLLS):
            finished = await database_sync_to_async(replay)(workspace_id, completion_id)
            if finished is not None:
                return Run(*finished)
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
