"""Examples of calls and stored completions in the API's document."""

from typing import Any

from conversations.api.examples import ANSWER, FEEDBACK, QUESTION, USAGE
from core.http.examples import (
    ANSWER_ID,
    COMPLETION_ID,
    CONVERSATION_ID,
    MODEL,
    NOON,
    QUESTION_ID,
    page_of,
    sent,
    shown,
)

_ANSWERED: dict[str, Any] = {
    "id": COMPLETION_ID,
    "object": "chat.completion",
    "created": NOON,
    "model": MODEL,
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": ANSWER, "refusal": None, "annotations": []},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": USAGE,
    "metadata": {"topic": "travel"},
}
_CHUNK = {
    "id": COMPLETION_ID,
    "object": "chat.completion.chunk",
    "created": NOON,
    "model": MODEL,
    "choices": [{"index": 0, "delta": {"content": "Take the"}, "logprobs": None, "finish_reason": None}],
}
_STORED = _ANSWERED | {"state": "completed", "conversation_id": CONVERSATION_ID, "feedback": [FEEDBACK]}
_ANSWERED_MESSAGE = {
    "id": QUESTION_ID,
    "role": "user",
    "content": QUESTION,
    "refusal": None,
    "content_parts": None,
    "name": None,
    "tool_calls": None,
    "tool_call_id": None,
    "audio": None,
}
_CUT_SHORT = {
    "index": 0,
    "message": {"role": "assistant", "content": "Take the tram", "refusal": None, "annotations": []},
    "logprobs": None,
    "finish_reason": None,
}

CALL = sent(
    "A question that continues a conversation",
    {
        "model": MODEL,
        "messages": [{"role": "user", "content": "And where do we eat there?"}],
        "context": {"conversation_id": CONVERSATION_ID, "parent_message_id": ANSWER_ID},
        "metadata": {"topic": "travel"},
        "stream": True,
    },
)
ANSWERED = shown("An answer", _ANSWERED)
CHUNK = shown("A piece of an answer", _CHUNK, "text/event-stream")
STORED = shown("A stored completion", _STORED)
STORED_PAGE = shown("The only one", page_of(_STORED))
CHANGED = sent("Other metadata", {"metadata": {"topic": "travel"}})
DELETED = shown(
    "A deleted completion", {"object": "chat.completion.deleted", "id": COMPLETION_ID, "deleted": True}
)
CANCELLED = shown(
    "An answer that was cut short",
    _STORED | {"state": "cancelled", "choices": [_CUT_SHORT], "feedback": []},
)
ANSWERED_MESSAGES = shown("A question", page_of(_ANSWERED_MESSAGE))
