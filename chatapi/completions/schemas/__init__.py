"""DRF serializers of both dialects: they validate requests, and document requests and answers.

The native ones mirror tests/contract/openapi.yaml name by name.
"""

from chatapi.completions.schemas.content_parts import (
    AudioContentSerializer,
    ImageContentSerializer,
    TextContentSerializer,
)
from chatapi.completions.schemas.native_request import (
    AssistantMessageSerializer,
    ChatCompletionRequestSerializer,
    SystemMessageSerializer,
    ToolMessageSerializer,
    UserMessageSerializer,
)
from chatapi.completions.schemas.native_responses import (
    AudioSerializer,
    ChatCompletionChunkSerializer,
    ChatCompletionResponseSerializer,
    ChoiceSerializer,
    DeltaChoiceSerializer,
    DeltaSerializer,
    ResponseMessageSerializer,
)
from chatapi.completions.schemas.openai_request import OpenAIChatCompletionRequestSerializer
from chatapi.completions.schemas.openai_responses import (
    OpenAIChatCompletionChunkSerializer,
    OpenAIChatCompletionResponseSerializer,
)
from chatapi.completions.schemas.response_format import ResponseFormatSerializer
from chatapi.completions.schemas.tools import ToolCallSerializer, ToolSerializer
from conversations.api.usage_serializers import UsageSerializer
from core.validation.exceptions import InvalidField

__all__ = [
    "AssistantMessageSerializer",
    "AudioContentSerializer",
    "AudioSerializer",
    "ChatCompletionChunkSerializer",
    "ChatCompletionRequestSerializer",
    "ChatCompletionResponseSerializer",
    "ChoiceSerializer",
    "DeltaChoiceSerializer",
    "DeltaSerializer",
    "ImageContentSerializer",
    "InvalidField",
    "OpenAIChatCompletionChunkSerializer",
    "OpenAIChatCompletionRequestSerializer",
    "OpenAIChatCompletionResponseSerializer",
    "ResponseFormatSerializer",
    "ResponseMessageSerializer",
    "SystemMessageSerializer",
    "TextContentSerializer",
    "ToolCallSerializer",
    "ToolMessageSerializer",
    "ToolSerializer",
    "UsageSerializer",
    "UserMessageSerializer",
]
