"""Examples in the API's document: one conversation about a weekend, with its items."""

from typing import Any

from core.http.examples import (
    ANSWER_ID,
    COMPLETION_ID,
    CONVERSATION_ID,
    END_USER,
    MODEL,
    NOON,
    QUESTION_ID,
    list_of,
    page_of,
    sent,
    shown,
)

QUESTION = "What should I see in Oslo?"
ANSWER = "Take the tram to the harbour, then walk to the opera house."

USAGE = {
    "prompt_tokens": 15,
    "completion_tokens": 14,
    "total_tokens": 29,
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
    "completion_tokens_details": {
        "reasoning_tokens": 0,
        "audio_tokens": 0,
        "accepted_prediction_tokens": 0,
        "rejected_prediction_tokens": 0,
    },
}
FEEDBACK = {
    "object": "chat.completion.feedback",
    "completion_id": COMPLETION_ID,
    "message_id": ANSWER_ID,
    "choice": 0,
    "source": "end_user",
    "user": END_USER,
    "thumbs": "up",
    "score": None,
    "comment": "Just what I wanted to know.",
    "category": None,
    "created_at": NOON + 60,
    "updated_at": NOON + 60,
}
_QUESTION_ITEM = {
    "id": QUESTION_ID,
    "status": "completed",
    "type": "message",
    "role": "user",
    "content": [{"type": "input_text", "text": QUESTION}],
    "message_id": QUESTION_ID,
    "parent_id": None,
    "siblings": [QUESTION_ID],
    "completion_id": None,
    "state": None,
    "finish_reason": None,
    "usage": None,
    "name": None,
    "feedback": [],
    "created_at": NOON,
    "cost_usd": None,
}
_ANSWER_ITEM = {
    "id": ANSWER_ID,
    "status": "completed",
    "type": "message",
    "role": "assistant",
    "content": [{"type": "output_text", "text": ANSWER, "annotations": []}],
    "message_id": ANSWER_ID,
    "parent_id": QUESTION_ID,
    "siblings": [ANSWER_ID],
    "completion_id": COMPLETION_ID,
    "state": "completed",
    "finish_reason": "stop",
    "usage": USAGE,
    "name": None,
    "feedback": [FEEDBACK],
    "created_at": NOON + 15,
    "cost_usd": "0.000180",
}
_CONVERSATION: dict[str, Any] = {
    "id": CONVERSATION_ID,
    "object": "conversation",
    "created_at": NOON,
    "updated_at": NOON + 15,
    "deleted_at": None,
    "metadata": {"topic": "travel"},
    "tags": ["work"],
    "title": "A weekend in Oslo",
    "pinned": False,
    "archived": False,
    "user": END_USER,
    "visibility": "private",
    "head_id": ANSWER_ID,
    "message_count": 2,
    "preview": ANSWER,
    "model": MODEL,
    "state": "completed",
    "running_completion_id": None,
    "cost_usd": "0.000180",
}


SHOWN_ITEM = shown("An answer", _ANSWER_ITEM)
SHOWN_ITEMS = shown("An answer and its question", page_of(_ANSWER_ITEM, _QUESTION_ITEM))
EDITED_QUESTION = [
    sent("Another question", {"content": "What should I see in Bergen?"}),
    shown(
        "The new version",
        _QUESTION_ITEM
        | {
            "id": (_NEW := "msg_019b796ec0607d4b9e2f3a4b5c6d7e90"),
            "content": [{"type": "input_text", "text": "What should I see in Bergen?"}],
            "message_id": _NEW,
            "siblings": [QUESTION_ID, _NEW],
        },
    ),
]
ADDED_ITEMS = shown(
    "What was added",
    page_of(
        _QUESTION_ITEM | {"content": [{"type": "input_text", "text": "Which wine goes with fish?"}]},
        _ANSWER_ITEM
        | {
            "content": [{"type": "output_text", "text": "A dry white one.", "annotations": []}],
            "completion_id": None,
            "state": None,
            "finish_reason": None,
            "usage": None,
            "cost_usd": None,
            "feedback": [],
        },
    ),
)
SHOWN_FEEDBACK = shown("A thumb up, and why", FEEDBACK)
SHOWN_FEEDBACKS = shown("What one author says", {"object": "list", "data": [FEEDBACK]})
NEW_CONVERSATION = sent(
    "With its first question",
    {
        "metadata": {"topic": "travel"},
        "tags": ["work"],
        "user": END_USER,
        "items": [{"role": "user", "content": QUESTION}],
    },
)
CHANGED_CONVERSATION = sent("Another title, and kept on top", {"title": "Oslo in May", "pinned": True})
DELETED_CONVERSATION = shown(
    "A deleted conversation",
    {"id": CONVERSATION_ID, "object": "conversation.deleted", "deleted": True},
)
SHOWN_CONVERSATION = shown("A conversation", _CONVERSATION)
SHOWN_CONVERSATIONS = shown("The only one", page_of(_CONVERSATION) | {"next_cursor": None})
_HIT = {
    "id": ANSWER_ID,
    "object": "search.hit",
    "message_id": ANSWER_ID,
    "role": "assistant",
    "created_at": 1767268815,
    "conversation": _CONVERSATION,
    "matches": [
        {
            "field": "text",
            "item_id": ANSWER_ID,
            "snippet": [
                {"text": "Take the tram to the ", "hit": False},
                {"text": "harbour", "hit": True},
                {"text": ", then walk to the opera house.", "hit": False},
            ],
        }
    ],
}
SHOWN_HIT = shown("An answer in which a word was found", _HIT)
SHOWN_HITS = shown("What is found for `harb`", page_of(_HIT) | {"next_cursor": None, "is_complete": True})
ARCHIVED_CONVERSATIONS = sent("Put one away", {"ids": [CONVERSATION_ID], "action": "archive"})
SHOWN_ARCHIVED = shown("As it is now", list_of(_CONVERSATION | {"archived": True}))
