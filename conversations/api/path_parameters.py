"""What the API's document says of the ids in the addresses of the history; each decorates a view."""

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema


def _id(name: str, description: str) -> OpenApiParameter:
    return OpenApiParameter(name, OpenApiTypes.STR, OpenApiParameter.PATH, description=description)


_CONVERSATION = _id("conversation_id", "The conversation, `conv_…`.")
_ITEM = _id("item_id", "The item, `msg_…`, `rs_…`, `fc_…` or `fco_…`.")

names_conversation = extend_schema(parameters=[_CONVERSATION])
names_item = extend_schema(parameters=[_CONVERSATION, _ITEM])
names_completion = extend_schema(parameters=[_id("completion_id", "The completion, `chatcmpl-…`.")])
