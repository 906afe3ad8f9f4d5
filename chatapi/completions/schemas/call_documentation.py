"""How the API's document describes a call of `/v1`: an ASGI endpoint, on the URL of a view that lists."""

from typing import Any

from chatapi.completions.schemas.openai_request import OpenAIChatCompletionRequestSerializer
from chatapi.completions.schemas.openai_responses import (
    OpenAIChatCompletionChunkSerializer,
    OpenAIChatCompletionResponseSerializer,
)
from core.http.openapi import error_responses, rate_limit_headers

REFUSALS_OF_CALLS = error_responses(400, 401, 403, 404, 409, 413, 429, 502, 503)

OPENAI_CALL: dict[str, Any] = {
    "operation_id": "createOpenAIChatCompletion",
    "summary": "The same in OpenAI's dialect",
    "description": "Streams where `stream` is true; each event is a chunk, the last is `[DONE]`.",
    "tags": ["chat"],
    "parameters": rate_limit_headers("requests", "tokens"),
    "request": OpenAIChatCompletionRequestSerializer,
    "responses": {
        (200, "application/json"): OpenAIChatCompletionResponseSerializer,
        (200, "text/event-stream"): OpenAIChatCompletionChunkSerializer,
    }
    | REFUSALS_OF_CALLS,
}
