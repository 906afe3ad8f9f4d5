"""Examples of calls and stored completions in the API's document."""

from typing import Any

from conversations.api.examples import ANSWER, FEEDBACK, QUESTION, USAGE
from core.http.examples import (
    ANSWER_ID,
    COMPLETION_ID,
    CONVERSATION_ID,
    END_USER,
    FILE_ID,
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

NATIVE_CALL = sent("A first question", {"messages": [{"role": "user", "content": QUESTION}]})
NATIVE_ANSWERED = shown(
    "An answer",
    {
        "id": COMPLETION_ID,
        "object": "chat.completion",
        "created": NOON,
        "model": MODEL,
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": ANSWER}, "finish_reason": "stop"}
        ],
        "usage": USAGE,
    },
)
_NATIVE_CHUNK = {
    "id": COMPLETION_ID,
    "object": "chat.completion.chunk",
    "created": NOON,
    "model": MODEL,
    "choices": [{"index": 0, "delta": {"content": "Take the"}}],
}
NATIVE_CHUNK = shown("A piece of an answer", _NATIVE_CHUNK, "text/event-stream")
NATIVE_LINE = shown("A piece of an answer", _NATIVE_CHUNK, "application/x-ndjson")

FIRST_CALL = sent(
    "A first question, answered whole",
    {
        "model": MODEL,
        "messages": [
            {"role": "developer", "content": "You help people who travel. Be brief."},
            {"role": "user", "content": QUESTION},
        ],
        "max_completion_tokens": 200,
        "user": END_USER,
    },
)
CALL_WITH_TOOL = sent(
    "With a function that the model may call",
    {
        "model": MODEL,
        "messages": [{"role": "user", "content": "Will it rain in Oslo tomorrow?"}],
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "get_weather",
                    "description": "Return the weather of a day.",
                    "parameters": {
                        "type": "object",
                        "properties": {"city": {"type": "string"}, "day": {"type": "string"}},
                        "required": ["city", "day"],
                        "additionalProperties": False,
                    },
                    "strict": True,
                },
            }
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
    },
)
CALL_WITH_PICTURE = sent(
    "About a picture that was uploaded",
    {
        "model": MODEL,
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Where was this taken?"},
                    {"type": "image_url", "image_url": {"file_id": FILE_ID}},
                ],
            }
        ],
    },
)
CALL_FOR_SPEECH = sent(
    "Answered in a voice",
    {
        "model": MODEL,
        "messages": [{"role": "user", "content": QUESTION}],
        "modalities": ["text", "audio"],
        "audio": {"voice": "alloy", "format": "wav"},
    },
)
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
