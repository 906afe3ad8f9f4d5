"""The carrier of one completion: the service makes it, the writer stores it, the pump runs it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import msgspec
from django.conf import settings

from accounts.permissions import Permission
from accounts.ratelimits.allowance import Allowance
from billing.audio_models import audio_charge_request
from billing.holds import ChargeRequest
from billing.tariffs import Bound
from chatapi.completions.attachments.prepare import add_ssml_instructions, prepare_request
from chatapi.completions.attachments.unrecognized_sounds import unrecognized_sounds
from chatapi.completions.capabilities import check_standard_price
from chatapi.completions.declared_prices import declared_prices
from chatapi.completions.prompt_size import PromptSize, prompt_size, sound_digests
from chatapi.completions.runs.crash_journal import MAX_COUNT
from chatapi.completions.runs.pump import PreparedRequest
from chatapi.completions.runs.speaker import SpeechOptions
from chatapi.completions.usage_bounds import limit_output, speech_limit, usage_bound
from conversations.completion_request import unify_output_limits
from conversations.stored_run import Admission, StoredRun, UnrecognizedSound
from core.exceptions import BadRequest
from core.ids import COMPLETION, CONVERSATION, MESSAGE, format_id
from engines.answers import AnswerHead
from engines.base import PromptTooLong
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
        self._asked = self.request
        self._size = PromptSize()
        self._milliseconds: Mapping[str, int] = {}
        who = self.principal
        self.charge_request = ChargeRequest(
            charge_id=self.id,
            kind="completion",
            workspace_id=self.workspace_id,
            user_id=who.user_id,
            key_id=who.key_id,
            models=tuple([candidate.id for candidate in self.candidates]),
            at=self.at,
            process_id=self.process_id,
            declared=partial(declared_prices, self.candidates),
            token_id=who.token_id,
            tells_amounts=who.may(Permission.BILLING),
        )
        if any(file.milliseconds for file in self.files) and not all(map(_hears, self.candidates)):
            self.recognition_request = audio_charge_request(
                "transcription",
                who.workspace_id,
                who.user_id,
                who.key_id,
                who.token_id,
                tells_amounts=who.may(Permission.BILLING),
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
        self._asked = self.request  # the one before holds the uploads

    # --- what admission asks for ------------------------------------------------------------------

    def read_history(self, history: tuple[Message, ...]) -> None:
        messages = add_ssml_instructions(history) if self.request.ssml else history
        self._asked = msgspec.structs.replace(self.request, messages=messages)
        self._size = prompt_size(self._asked, self.candidates[0], uploads=self._asked.uploads)
        if excess := self._size.excess(self.candidates[0]):
            raise BadRequest(excess, param="messages", code="context_length_exceeded")

    def bound(self) -> Bound:
        check_standard_price(self.request)
        if self._size.is_plain:
            return usage_bound(self._asked, self.candidates, size=self._size)
        self._milliseconds = self._sound_lengths(self._asked.messages)
        return usage_bound(self._asked, self.candidates, self._milliseconds)

    def unrecognized_sounds(self) -> list[UnrecognizedSound]:
        history = self._asked.messages
        return unrecognized_sounds(self.request, history, self.workspace_id, self._sound_lengths(history))

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
    def stored_ids(self) -> tuple[str, str] | None:
        place = self.admission
        if place.conversation_id is None or place.first_answer is None:
            return None
        return format_id(CONVERSATION, place.conversation_id), format_id(MESSAGE, place.first_answer)

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
        """Return the request as this model is asked it, with an output limit if something is held for it.

        Raises `EngineError` if something cannot be created for the model, or it cannot read it all.
        """
        request, hold = self.request, self.admission.hold
        if "audio" in request.modalities and "audio" not in spec.output_modalities:
            request = msgspec.structs.replace(request, modalities=("text",), audio=None)
        if hold.amount:
            request = msgspec.structs.replace(request, params=limit_output(request.params, spec))
        request, substitutes = await prepare_request(request, spec, self.principal)
        size = self._size
        if not size.is_plain:
            size = prompt_size(request, spec, milliseconds=self._milliseconds)
        if excess := size.excess(spec):
            raise PromptTooLong(excess, param="messages")
        return PreparedRequest(
            request,
            substitutes,
            size.estimate(spec),
            hold.prices.get(spec.id),
            speech_limit(self.request, spec) if hold.amount else MAX_COUNT,
        )


def _hears(spec: ModelSpec) -> bool:
    return "audio" in spec.input_modalities
