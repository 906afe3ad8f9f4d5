"""The sounds of a call whose transcripts have yet to be made, and paid for."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from conversations.completion_request import CompletionRequest
from conversations.stored_run import UnrecognizedSound
from engines.messages import AudioPart, Message
from media.processing.speech.transcripts import round_up_seconds
from media.selectors import recognized_sounds


def unrecognized_sounds(
    request: CompletionRequest,
    history: Sequence[Message],
    workspace_id: UUID,
    milliseconds: Mapping[str, int],
) -> list[UnrecognizedSound]:
    """Return the sounds of a history, which ends with the request's messages, that were not recognized yet.

    `milliseconds` are their lengths by SHA-256. Sounds of unknown length are left out: what those cost is
    known when they are to be recognized.
    """
    params = {sha256: p for sha256, p in _params(request, history).items() if sha256 in milliseconds}
    recognized = recognized_sounds(workspace_id, params)
    return [
        UnrecognizedSound(round_up_seconds(milliseconds[sha256] / 1000), param)
        for sha256, param in params.items()
        if sha256 not in recognized
    ]


def _params(request: CompletionRequest, history: Sequence[Message]) -> dict[str, str | None]:
    """Return where the request has each sound, by SHA-256: the first place, None for one of earlier turns."""
    first = len(history) - len(request.messages)
    positions = request.positions or range(len(request.messages))
    params: dict[str, str | None] = {}
    for i, message in enumerate(history):
        for j, part in enumerate(message.parts):
            if isinstance(part, AudioPart):
                path = f"messages[{positions[i - first]}].content[{j}].input_audio" if i >= first else None
                params[part.blob.sha256] = params.get(part.blob.sha256) or path
    return params
