"""Preparation of a history for one model: pictures and sounds in the form it takes, or as text.

A model that does not see is given the text read from each picture; one that does not hear, the transcript.
This waits for the renditions that workers have to create, while viewers are kept alive.
"""

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

import msgspec
from django.conf import settings

from accounts.principal import Principal
from chatapi.completions.attachments.store import blob_reader
from chatapi.completions.attachments.text_files import NamedFile, read_text_files
from chatapi.completions.token_counts import estimate_tokens
from conversations.completion_request import CompletionRequest
from core.blob import Blob
from core.exceptions import InsufficientQuota, ModelUnpriced
from core.ids import SPEECH, parse_id
from engines.base import EngineError, InvalidRequest
from engines.events import Usage
from engines.messages import AudioPart, FilePart, ImagePart, Message, Part, SpokenPart, TextPart
from engines.model_spec import ModelSpec
from media.models import Asset, Rendition, Requester, asset_id, rendition_id, rendition_name
from media.processing.pictures.text_description import describe_picture
from media.processing.speech.ssml.model_instructions import SSML_INSTRUCTIONS
from media.renditions.wait import RenditionFailed, RenditionTimeout, wait_for_renditions

RenditionKind = Rendition.Kind

PASSTHROUGH_FORMATS = {"wav", "mp3"}
"""Sound formats that every upstream with audio input is known to take as they are."""
PICTURE_SIDES = (1536, 1024, 768, 512)
"""The sizes in pixels to which pictures are scaled for models that take no larger ones."""

MEDIA_BYTES_LIMIT = 128 * 1024 * 1024
"""The most bytes of pictures, sounds and files that go to a model with one call."""

ConvertiblePart = ImagePart | AudioPart


async def prepare_request(
    request: CompletionRequest, spec: ModelSpec, principal: Principal
) -> tuple[CompletionRequest, Usage]:
    """Return a request as a model is asked it, and the count of what stands for media in its prompt.

    Its messages are the whole history; `positions` are where the last of them were in the client's list.

    Raises `EngineError` if something cannot be created for this model, or not in time.
    """
    messages, names, substitutes = request.messages, dict[str, str](), Usage()
    workspace_id = principal.workspace_id
    if any(type(part) in _PREPARED_PARTS for message in messages for part in message.parts):
        preparation = _Preparation(messages, spec, principal, request.positions)
        messages = await preparation.run()
        names, substitutes = preparation.names, preparation.substitutes
    if request.ssml:
        messages = add_ssml_instructions(messages)
    prepared = msgspec.structs.replace(request, messages=messages, read_blob=blob_reader(workspace_id, names))
    return prepared, substitutes


def add_ssml_instructions(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Return the history with instructions for answering in SSML in its first system message."""
    instructions = TextPart(SSML_INSTRUCTIONS)
    for index, message in enumerate(messages):
        if message.role == "system":
            parts = (TextPart(f"{message.text}\n\n{SSML_INSTRUCTIONS}"),)
            instructed = msgspec.structs.replace(message, parts=parts)
            return (*messages[:index], instructed, *messages[index + 1 :])
    return (Message("system", (instructions,)), *messages)


_BILLING_REFUSALS = {refusal.code: refusal for refusal in (InsufficientQuota, ModelUnpriced)}
_PREPARED_PARTS = {ImagePart, AudioPart, FilePart, SpokenPart}


class _Preparation:
    """`names` are the storage names of blobs that are renditions, by SHA-256."""

    def __init__(
        self,
        messages: tuple[Message, ...],
        spec: ModelSpec,
        principal: Principal,
        positions: Sequence[int],
    ) -> None:
        self._messages = messages
        self._spec = spec
        self._workspace_id = principal.workspace_id
        self._requester = Requester.of(principal)
        self._positions = positions
        self.names: dict[str, str] = {}
        self._image_text_tokens = 0
        self._transcript_tokens = 0
        self._texts: dict[NamedFile, str] = {}

    @property
    def substitutes(self) -> Usage:
        """The text that stands for pictures and sounds, in addition to what the engine counts."""
        return Usage(image_text_tokens=self._image_text_tokens, transcript_tokens=self._transcript_tokens)

    async def run(self) -> tuple[Message, ...]:
        needed = {rendition.id: rendition for rendition in self._needed_renditions()}
        found = await self._wait_for_renditions(needed)
        if "file" not in self._spec.input_modalities:
            self._texts = await read_text_files(self._messages, self._workspace_id)
        messages = tuple(
            msgspec.structs.replace(message, parts=tuple(self._parts(message, found)))
            for message in self._messages
        )
        check_total_size(messages)
        return messages

    def _needed_renditions(self) -> Iterable[Rendition]:
        for message in self._messages:
            for part in message.parts:
                kind = self._kind_for(part)
                if kind is not None and isinstance(part, ConvertiblePart) and part.blob is not None:
                    asset = asset_id(self._workspace_id, part.blob.sha256)
                    yield Rendition(id=rendition_id(asset, kind), asset_id=asset, kind=kind)

    def _kind_for(self, part: Part) -> str | None:
        """Return the rendition kind that this model needs of a part; None if it takes the part as it is."""
        if isinstance(part, ImagePart):
            return self._picture_kind() if "image" in self._spec.input_modalities else RenditionKind.TEXT
        if isinstance(part, AudioPart):
            if "audio" not in self._spec.input_modalities:
                return RenditionKind.TRANSCRIPT
            return None if part.format in PASSTHROUGH_FORMATS else RenditionKind.WAV
        return None

    def _picture_kind(self) -> str:
        max_side = self._spec.max_image_side or settings.CHATAPI_PICTURE_SIDE
        if max_side >= settings.CHATAPI_PICTURE_SIDE:
            return RenditionKind.PICTURE
        side = next((side for side in PICTURE_SIDES if side <= max_side), PICTURE_SIDES[-1])
        return f"{RenditionKind.PICTURE}-{side}"

    async def _wait_for_renditions(self, needed: Mapping[UUID, Rendition]) -> dict[UUID, Rendition]:
        if not needed:
            return {}
        try:
            return await wait_for_renditions(
                needed.values(),
                seconds=settings.CHATAPI_MEDIA_WAIT_SECONDS,
                requester=self._requester,
            )
        except RenditionFailed as problem:
            raise self._request_error(problem) from problem
        except RenditionTimeout:
            raise EngineError(
                f"The files of this call were not ready for the model within "
                f"{settings.CHATAPI_MEDIA_WAIT_SECONDS} seconds.",
                status=504,
                code="media_timeout",
            ) from None

    def _request_error(self, problem: RenditionFailed) -> InvalidRequest:
        refusal = _BILLING_REFUSALS.get(problem.code)
        return InvalidRequest(
            problem.message,
            status=refusal and refusal.status,
            type=refusal and refusal.type,
            code=problem.code,
            param=self._param_path(problem.rendition),
        )

    def _param_path(self, rendition: Rendition) -> str | None:
        sent = self._messages[len(self._messages) - len(self._positions) :]
        for i, message in zip(self._positions, sent, strict=True):
            for j, part in enumerate(message.parts):
                blob = getattr(part, "blob", None)
                if blob and asset_id(self._workspace_id, blob.sha256) == rendition.asset_id:
                    key = "image_url" if isinstance(part, ImagePart) else "input_audio"
                    return f"messages[{i}].content[{j}].{key}"
        return None

    # --- part by part -----------------------------------------------------------------------------

    def _parts(self, message: Message, found: Mapping[UUID, Rendition]) -> Iterable[Part]:
        has_text = any(isinstance(part, TextPart) for part in message.parts)
        for part in message.parts:
            if isinstance(part, SpokenPart):
                yield from self._spoken(part, has_text=has_text)
            elif isinstance(part, FilePart) and part.blob is not None:
                content = self._texts.get((part.blob.sha256, part.filename))
                yield part if content is None else TextPart(content)
            elif isinstance(part, ConvertiblePart) and (kind := self._kind_for(part)) and part.blob:
                asset = asset_id(self._workspace_id, part.blob.sha256)
                yield self._part_from_rendition(part, part.blob, found[rendition_id(asset, kind)])
            else:
                yield part

    def _spoken(self, part: SpokenPart, *, has_text: bool) -> Iterable[Part]:
        """Yield an earlier spoken answer: by id only to the model that issued the id, else its transcript."""
        is_ours = parse_id(SPEECH, part.id) is not None
        if "audio" in self._spec.output_modalities and not is_ours:
            yield part
        elif not has_text and part.transcript:
            yield TextPart(part.transcript)

    def _part_from_rendition(self, part: ConvertiblePart, blob: Blob, rendition: Rendition) -> Part:
        match rendition.kind:
            case RenditionKind.TEXT:
                is_cut = rendition.content.get("is_cut", False)
                text = describe_picture(rendition.content["text"], *_size_of(rendition.asset), is_cut=is_cut)
                self._image_text_tokens += estimate_tokens(text)
                return TextPart(text)
            case RenditionKind.TRANSCRIPT:
                text = transcript_text(rendition.content["text"])
                self._transcript_tokens += estimate_tokens(text)
                return TextPart(text)
        rendition_blob = self._rendition_blob(blob, rendition)
        if isinstance(part, ImagePart):
            return ImagePart(rendition_blob, detail=part.detail)
        return AudioPart(rendition_blob, "wav")

    def _rendition_blob(self, blob: Blob, rendition: Rendition) -> Blob:
        name = f"{blob.sha256}/{rendition.kind}"
        self.names[name] = rendition_name(self._workspace_id, rendition.id)
        return Blob(name, rendition.media_type, rendition.size)


def transcript_text(transcript: str) -> str:
    """Return the text that a model that does not hear is given for a sound."""
    if not transcript.strip():
        return "[Sound in which no speech was heard.]"
    return transcript.strip()


def _size_of(asset: Asset) -> tuple[int, int]:
    return asset.width or 0, asset.height or 0


def check_total_size(messages: Sequence[Message]) -> None:
    """Raise `InvalidRequest` if the files for a model are too large together."""
    total_size = sum(
        part.blob.size
        for part in (part for message in messages for part in message.parts)
        if isinstance(part, (ImagePart, AudioPart, FilePart)) and part.blob is not None
    )
    if total_size > MEDIA_BYTES_LIMIT:
        raise InvalidRequest(
            f"The pictures, sounds and files of this conversation have {total_size} bytes as the model takes "
            f"them; {MEDIA_BYTES_LIMIT} are allowed.",
            code="media_too_large",
        )
