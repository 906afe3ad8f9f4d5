"""DRF serializers of both dialects: they check requests and document requests and answers.

The native ones mirror tests/contract/openapi.yaml name by name.
"""

from . import documentation  # noqa: F401 - registers itself with drf-spectacular
from .answers import (
    AudioSerializer,
    ChatCompletionChunkSerializer,
    ChatCompletionResponseSerializer,
    ChoiceSerializer,
    DeltaChoiceSerializer,
    DeltaSerializer,
    ResponseMessageSerializer,
    UsageSerializer,
)
from .native import (
    AssistantMessageSerializer,
    ChatCompletionRequestSerializer,
    SystemMessageSerializer,
    ToolMessageSerializer,
    UserMessageSerializer,
)
from .openai import OpenAIChatCompletionRequestSerializer
from .openai_answers import OpenAIChatCompletionChunkSerializer, OpenAIChatCompletionResponseSerializer
from .parts import AudioContentSerializer, ImageContentSerializer, TextContentSerializer
from .problems import Invalid
from .tools import ResponseFormatSerializer, ToolCallSerializer, ToolSerializer

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
    "Invalid",
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
