"""DRF serializers of both dialects: they check requests and document requests and answers.

The native ones mirror tests/contract/openapi.yaml name by name.
"""

from chatapi.completions.schemas import documentation  # noqa: F401 - registers itself with drf-spectacular
from chatapi.completions.schemas.answers import (
    AudioSerializer,
    ChatCompletionChunkSerializer,
    ChatCompletionResponseSerializer,
    ChoiceSerializer,
    DeltaChoiceSerializer,
    DeltaSerializer,
    ResponseMessageSerializer,
    UsageSerializer,
)
from chatapi.completions.schemas.native import (
    AssistantMessageSerializer,
    ChatCompletionRequestSerializer,
    SystemMessageSerializer,
    ToolMessageSerializer,
    UserMessageSerializer,
)
from chatapi.completions.schemas.openai import OpenAIChatCompletionRequestSerializer
from chatapi.completions.schemas.openai_answers import (
    OpenAIChatCompletionChunkSerializer,
    OpenAIChatCompletionResponseSerializer,
)
from chatapi.completions.schemas.parts import (
    AudioContentSerializer,
    ImageContentSerializer,
    TextContentSerializer,
)
from chatapi.completions.schemas.problems import Invalid
from chatapi.completions.schemas.tools import ResponseFormatSerializer, ToolCallSerializer, ToolSerializer

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
