"""The carrier of one completion: the service makes it, the writer stores it, the pump runs it."""

from dataclasses import dataclass
from functools import partial

import msgspec
from django.conf import settings

from accounts.ratelimits.allowance import Allowance
from billing.holds import ChargeRequest
from billing.tariffs import Bound
from chatapi.completions.attachments.prepare import prepare_request
from chatapi.completions.declared_prices import declared_prices
from chatapi.completions.runs.pump import PreparedRequest
from chatapi.completions.runs.speaker import SpeechOptions
from chatapi.completions.usage_bounds import limit_output, sound_digests, usage_bound
from conversations.completion_request import unify_output_limits
from conversations.stored_run import Admission, StoredRun
from core.ids import COMPLETION, CONVERSATION, format_id
from engines.answers import AnswerHead
from engines.messages import Message
from engines.model_spec import ModelSpec
from media.selectors import sound_milliseconds

DEFAULT_VOICE = "joe"


@dataclass(eq=False, kw_only=True)
class Run(StoredRun):
    """One completion, from its validated request to its stored end.

    `candidates` are the models that may answer, the requested one first. Until the run is admitted, `request`
    is what the client sent; from then on it is what the engine is asked, with the whole history.
    """

    candidates: tuple[ModelSpec, ...]
    allowance: Allowance

    def __post_init__(self) -> None:
        super().__post_init__()
        self.charge_request = ChargeRequest(
            charge_id=self.id,
            kind="completion",
            workspace_id=self.workspace_id,
            user_id=self.principal.user_id,
            key_id=self.principal.key_id,
            models=tuple([candidate.id for candidate in self.candidates]),
            at=self.at,
            process_id=self.process_id,
            declared=partial(declared_prices, self.candidates),
        )

    def record_admission(self, admission: Admission) -> None:
        sent = self.request
        self.admission = admission
        self.request = msgspec.structs.replace(
            sent,
            messages=admission.history,
            positions=sent.positions or tuple(range(len(sent.messages))),
            params=unify_output_limits(sent.params),
            uploads={},
        )

    # --- what admission asks for ------------------------------------------------------------------

    def bound(self, history: tuple[Message, ...]) -> Bound:
        return usage_bound(self.request, self.candidates, history, self._sound_lengths(history))

    def _sound_lengths(self, history: tuple[Message, ...]) -> dict[str, int]:
        """Return the length of each sound in the history, in milliseconds, by SHA-256.

        The lengths of sounds that came with the call are known; those of earlier turns are looked up.
        """
        known = {file.blob.sha256: file.milliseconds for file in self.files if file.milliseconds is not None}
        missing = sound_digests(history) - known.keys()
        return known | sound_milliseconds(self.workspace_id, missing) if missing else known

    # --- what the pump asks for -------------------------------------------------------------------

    @property
    def head(self) -> AnswerHead:
        return AnswerHead(format_id(COMPLETION, self.id), int(self.at.timestamp()), self.model)

    @property
    def conversation_id(self) -> str:
        return format_id(CONVERSATION, self.admission.conversation_id)

    @property
    def is_ssml(self) -> bool:
        return self.request.ssml

    @property
    def is_cancelled_when_left(self) -> bool:
        """Whether the run is cancelled when all clients have disconnected.

        On `/v1`, clients that disconnect want to stop, unless they hold an idempotency key to come back with.
        The product's own frontend reads on later.
        """
        by_dialect = "continue" if self.request.dialect == "native" or self.idempotency_key else "cancel"
        return (self.request.on_disconnect or self.candidates[0].on_disconnect or by_dialect) == "cancel"

    @property
    def speech_options(self) -> SpeechOptions | None:
        """How the answer is spoken if the model does not speak itself; None if it is not to be spoken."""
        request = self.request
        if "audio" not in request.modalities:
            return None
        return SpeechOptions(
            voice=(request.audio and request.audio.voice) or DEFAULT_VOICE,
            kept_seconds=settings.CHATAPI_SPEECH_KEPT_SECONDS,
            whole_format=None if request.stream else request.sound_format,
            voices_folder=settings.CHATAPI_VOICES_FOLDER,
        )

    async def prepare(self, spec: ModelSpec) -> PreparedRequest:
        """Return the request as this model is asked it, with an output limit if something is held for it."""
        request, hold = self.request, self.admission.hold
        if "audio" in request.modalities and "audio" not in spec.output_modalities:
            request = msgspec.structs.replace(request, modalities=("text",), audio=None)
        if hold.amount:
            request = msgspec.structs.replace(request, params=limit_output(request.params, spec))
        return await prepare_request(request, spec, self.workspace_id, hold.prices.get(spec.id))
