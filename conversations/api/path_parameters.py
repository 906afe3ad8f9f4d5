"""What the API's document says of the ids in the addresses of the history; each decorates a view."""

from drf_spectacular.utils import extend_schema

from core.http.openapi import path_id

_CONVERSATION = path_id("conversation_id", "The conversation: `conv_…`.")
_ITEM = path_id("item_id", "The item, `msg_…`, `rs_…`, `fc_…` or `fco_…`.")

names_conversation = extend_schema(parameters=[_CONVERSATION])
names_item = extend_schema(parameters=[_CONVERSATION, _ITEM])
names_completion = extend_schema(parameters=[path_id("completion_id", "The completion, `chatcmpl-…`.")])
