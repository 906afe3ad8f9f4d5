"""The query parameters by which stored completions are listed."""

from django.http import QueryDict
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter

from accounts.principal import Principal
from chatapi.completions.idempotency_keys import check_idempotency_key
from conversations.completion_selectors import CompletionFilter
from conversations.models import Completion
from conversations.stored_run import owned_idempotency_key
from core.http.metadata_filter import METADATA, parse_metadata
from core.http.pagination import PageParameters
from core.http.query import parse_choice, parse_text

ANY_STATE = "any"
STATES = (*Completion.State.values, ANY_STATE)

PAGES = PageParameters(
    OpenApiParameter("model", OpenApiTypes.STR, description="Only answers of this model, as calls named it."),
    METADATA,
    OpenApiParameter(
        "state",
        enum=list(STATES),
        default=Completion.State.COMPLETED,
        description="Only those in this state. Clients with strict types expect a `finish_reason`, which "
        "only what is `completed` has for sure. With `idempotency_key` it is `any` by default.",
    ),
    OpenApiParameter("conversation_id", OpenApiTypes.STR, description="Only those of this conversation."),
    OpenApiParameter("user", OpenApiTypes.STR, description="Only those of this end user's conversations."),
    OpenApiParameter(
        "idempotency_key",
        OpenApiTypes.STR,
        description="Only the one whose call was sent with this `Idempotency-Key` by the caller, in progress "
        "or ended. A call that failed gives its key up.",
    ),
    ascending=True,
)
MESSAGE_PAGES = PageParameters(ascending=True)


def parse_filter(who: Principal, query: QueryDict) -> CompletionFilter:
    """Parse which completions are wanted. Raises `BadRequest`."""
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
        metadata=parse_metadata(query),
    )
