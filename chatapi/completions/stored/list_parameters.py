"""The query parameters by which stored completions are listed."""

import re
from collections.abc import Collection

from django.http import QueryDict
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter

from accounts.principal import Principal
from chatapi.completions.idempotency_keys import check_idempotency_key
from conversations.completion_selectors import CompletionFilter
from conversations.models import Completion
from conversations.stored_run import owned_idempotency_key
from core.exceptions import BadRequest
from core.http.pagination import PageParameters
from core.http.query import parse_choice, parse_text
from core.validation import exceptions

PAGES = PageParameters(ascending=True)
ANY_STATE = "any"
STATES = (*Completion.State.values, ANY_STATE)
MAX_PAIRS = 16

FILTERS = [
    OpenApiParameter("model", OpenApiTypes.STR, description="Only answers of this model, as calls named it."),
    OpenApiParameter(
        "metadata",
        {"type": "object", "additionalProperties": {"type": "string"}, "maxProperties": MAX_PAIRS},
        style="deepObject",
        explode=True,
        description="Only those whose metadata has all of these pairs: `metadata[topic]=numbers`.",
    ),
    OpenApiParameter(
        "state",
        enum=list(STATES),
        default=Completion.State.COMPLETED,
        description="Only those in this state. Clients with strict types expect a `finish_reason`, which "
        "only what is `completed` has for sure. With `idempotency_key` it is `any` by default.",
    ),
    OpenApiParameter("conversation_id", OpenApiTypes.STR, description="Only those of this conversation."),
    OpenApiParameter("user", OpenApiTypes.STR, description="Only those for this end user."),
    OpenApiParameter(
        "idempotency_key",
        OpenApiTypes.STR,
        description="Only the one whose call was sent with this `Idempotency-Key` by the caller, in progress "
        "or ended. A call that failed gives its key up.",
    ),
]
PAGE_NAMES = ("limit", "order", "after")
_NAMES = (*PAGE_NAMES, "model", "state", "conversation_id", "user", "idempotency_key")
_METADATA = re.compile(r"metadata\[(.*)\]", re.DOTALL)


def parse_filter(who: Principal, query: QueryDict) -> CompletionFilter:
    """Parse which completions are wanted. Raises `BadRequest`, also for a parameter that is not known."""
    metadata = _metadata(query)
    refuse_unknown(query, (*_NAMES, *(f"metadata[{key}]" for key in metadata)))
    key = parse_text(query, "idempotency_key")
    state = parse_choice(query, "state", STATES, ANY_STATE if key else Completion.State.COMPLETED)
    if key is not None:
        key = owned_idempotency_key(who, check_idempotency_key(key, param="idempotency_key"))
    return CompletionFilter(
        model=parse_text(query, "model"),
        state=None if state == ANY_STATE else state,
        conversation_id=parse_text(query, "conversation_id"),
        user=parse_text(query, "user"),
        idempotency_key=key,
        metadata=metadata,
    )


def refuse_unknown(query: QueryDict, known: Collection[str]) -> None:
    """Raise `BadRequest` for the first parameter that is not known: it would be ignored in silence."""
    for name in query:
        if name not in known:
            raise exceptions.unsupported("it is not known here").at(name).as_bad_request


def _metadata(query: QueryDict) -> dict[str, str]:
    found = {match[1]: query.getlist(match[0]) for name in query if (match := _METADATA.fullmatch(name))}
    if len(found) > MAX_PAIRS:
        raise BadRequest(
            f"Invalid 'metadata': {len(found)} pairs are too many, {MAX_PAIRS} are allowed.", param="metadata"
        )
    for key, values in found.items():
        if len(values) > 1:
            raise exceptions.wrong_value("it is there twice").at(f"metadata[{key}]").as_bad_request
    return {key: values[0] for key, values in found.items()}
