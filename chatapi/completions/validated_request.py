"""A validated request, and what is made of it: requests to admit it and to answer it, speech options."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from uuid import UUID

from django.conf import settings

from accounts.asgi_auth import Caller
from accounts.ratelimits.allowance import Allowance
from billing.holds import ChargeRequest
from chatapi.completions.attachments.store import ResolvedAttachments
from chatapi.completions.completion_request import CompletionRequest, non_default_fields, unify_output_limits
from chatapi.completions.declared_prices import declared_prices
from chatapi.completions.runs.speaker import SpeechOptions
from chatapi.completions.usage_bounds import sound_digests, usage_bound
from conversations.admission import Admitted
from conversations.admission_request import AdmissionRequest
from core.blob import Blob
from core.ids import new_id
from core.value import Value
from engines.messages import Message
from engines.model_spec import ModelSpec
from engines.requests import EngineRequest
from media.selectors import sound_milliseconds

DEFAULT_VOICE = "joe"


class ValidatedRequest(Value, frozen=True):
    """A validated request and its context."""

    caller: Caller
    allowance: Allowance
    request: CompletionRequest
    spec: ModelSpec
    idempotency_key: str | None = None
    body_digest: str = ""


def build_admission(
    call: ValidatedRequest, resolved: ResolvedAttachments, candidates: Sequence[ModelSpec], process_id: UUID
) -> AdmissionRequest:
    """Build the admission request of a call. `candidates` are the models that may answer."""
    request, principal = call.request, call.caller.principal
    completion_id, at = new_id(), datetime.now(UTC)
    return AdmissionRequest(
        completion_id=completion_id,
        process_id=process_id,
        principal=principal,
        key_digest=call.caller.key_digest,
        dialect=request.dialect,
        model=call.spec.id,
        messages=resolved.messages,
        positions=request.positions,
        request=non_default_fields(request),
        at=at,
        charge_request=ChargeRequest(
            charge_id=completion_id,
            kind="completion",
            workspace_id=principal.workspace_id,
            user_id=principal.user_id,
            key_id=principal.key_id,
            models=tuple(candidate.id for candidate in candidates),
            at=at,
            process_id=process_id,
            declared=partial(declared_prices, candidates),
        ),
        bound=lambda history: usage_bound(
            request, candidates, history, _sound_lengths(history, resolved, principal.workspace_id)
        ),
        end_user=request.end_user,
        metadata=request.metadata,
        conversation_id=request.conversation_id,
        parent_message_id=request.parent_message_id,
        idempotency_key=call.idempotency_key,
        body_digest=call.body_digest,
        files=resolved.files,
    )


def _sound_lengths(
    history: Sequence[Message], resolved: ResolvedAttachments, workspace_id: UUID
) -> dict[str, int]:
    """Return the length of each sound in the history, in milliseconds, by SHA-256.

    The lengths of sounds that came with the call are known; those of earlier turns are looked up.
    """
    known = {file.blob.sha256: file.milliseconds for file in resolved.files if file.milliseconds is not None}
    missing = sound_digests(history) - known.keys()
    return known | sound_milliseconds(workspace_id, missing) if missing else known


def build_engine_request(
    request: CompletionRequest, admitted: Admitted, read_blob: Callable[[Blob], Awaitable[bytes]]
) -> EngineRequest:
    """Build the request to the engines, before it is adapted to a particular model."""
    return EngineRequest(
        messages=admitted.history,
        read_blob=read_blob,
        tools=request.tools,
        tool_choice=request.tool_choice,
        parallel_tool_calls=request.parallel_tool_calls,
        response_format=request.response_format,
        modalities=request.modalities,
        audio=request.audio,
        params=unify_output_limits(request.params),
        n=request.n,
        stream=request.stream,
    )


def speech_options(request: CompletionRequest) -> SpeechOptions | None:
    """Return how the answer is to be spoken; None if it is not."""
    if "audio" not in request.modalities:
        return None
    return SpeechOptions(
        voice=(request.audio and request.audio.voice) or DEFAULT_VOICE,
        kept_seconds=settings.CHATAPI_SPEECH_KEPT_SECONDS,
        whole_format=None if request.stream else request.sound_format,
        voices_folder=settings.CHATAPI_VOICES_FOLDER,
    )
