"""How the API's document describes a call of `/v1`: an ASGI endpoint, on the URL of a view that lists."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter

from chatapi.completions.idempotency_keys import IDEMPOTENCY_KEY_LENGTH
from chatapi.completions.schemas.openai_request import OpenAIChatCompletionRequestSerializer
from chatapi.completions.schemas.openai_responses import (
    OpenAIChatCompletionChunkSerializer,
    OpenAIChatCompletionResponseSerializer,
)
from core.http.openapi import error_responses, rate_limit_headers

REFUSALS_OF_CALLS = error_responses(400, 401, 403, 404, 408, 409, 413, 415, 429, 502, 503, 504)

_REQUEST_HEADERS: dict[str, tuple[Any, str]] = {
    "Idempotency-Key": (
        {"type": "string", "maxLength": IDEMPOTENCY_KEY_LENGTH},
        (
            "A text of your own, new for each call. Sent again with the same body, it joins the first answer "
            "instead of paying for a second; the call can also be found and cancelled by it."
        ),
    ),
    "Prefer": (
        {"type": "string", "enum": ["respond-early"]},
        "`respond-early`: a stream's head comes as soon as the call is stored, with the ids of the answer.",
    ),
}
_RESPONSE_HEADERS = {
    "x-completion-id": "The completion: `chatcmpl-…`.",
    "x-conversation-id": "The conversation that it is stored in: `conv_…`. Not with `store: false`.",
    "x-message-id": "The message of the answer: `msg_…`. Not with `store: false`.",
    "preference-applied": "`respond-early`, where `Prefer` asked for that and the answer is a stream.",
}
HEADERS_OF_CALLS = [
    *(
        OpenApiParameter(name, type, OpenApiParameter.HEADER, description=description)
        for name, (type, description) in _REQUEST_HEADERS.items()
    ),
    *(
        OpenApiParameter(
            name, OpenApiTypes.STR, OpenApiParameter.HEADER, description=description, response=[200]
        )
        for name, description in _RESPONSE_HEADERS.items()
    ),
    *rate_limit_headers("requests", "tokens"),
]
"""What is sent and answered in the headers of a call of either dialect."""

OPENAI_CALL: dict[str, Any] = {
    "operation_id": "createOpenAIChatCompletion",
    "summary": "The same in OpenAI's dialect",
    "description": "Streams where `stream` is true: each event is a chunk, the last is `[DONE]`. It is "
    "stored in the conversation that `context` names or that its messages continue, else in a new one.",
    "tags": ["chat"],
    "parameters": HEADERS_OF_CALLS,
    "request": OpenAIChatCompletionRequestSerializer,
    "responses": {
        (200, "application/json"): OpenAIChatCompletionResponseSerializer,
        (200, "text/event-stream"): OpenAIChatCompletionChunkSerializer,
    }
    | REFUSALS_OF_CALLS,
}
