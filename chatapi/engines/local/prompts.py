"""Messages and tools in the words of the model's chat template (Qwen 2.5).

Calls and results are written out here, as the template would write them, and go to llama.cpp as
plain text: its own rendering answers 500 where a stored call's arguments are no valid JSON.
"""

from typing import Any

import msgspec

from ..base import InvalidRequest
from ..values import Message, Part, RefusalPart, SpokenPart, TextPart, Tool, ToolCall

ASSISTANT = "You are a helpful assistant."
TOOLS = """

# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>
{tools}
</tools>

For each function call, return a json object with function name and arguments within \
<tool_call></tool_call> XML tags:
<tool_call>
{{"name": <function-name>, "arguments": <args-json-object>}}
</tool_call>"""
CALL = '<tool_call>\n{{"name": "{name}", "arguments":'
USE_RESULT = "\n\nAnswer the user in your own words from what the tools returned."

_encode = msgspec.json.Encoder().encode


def as_text(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """The messages with text alone in them; the results of a turn's calls are one user message."""
    result: list[Message] = []
    for number, message in enumerate(messages):
        if message.role == "tool":
            text = f"<tool_response>\n{_text(message, number)}\n</tool_response>"
            if number and messages[number - 1].role == "tool":
                result[-1] = _say("user", f"{result[-1].text}\n{text}")
            else:
                result.append(_say("user", text))
        else:
            result.append(_say(message.role, _text(message, number)))
    return tuple(result)


def asking_for_call(messages: tuple[Message, ...], tool: Tool) -> tuple[Message, ...]:
    """The messages, with the tool told in the system message and the call of it already begun."""
    tools = TOOLS.format(tools=_encode(_signature(tool)).decode())
    return (*_instructed(as_text(messages), tools), _say("assistant", CALL.format(name=tool.name)))


def asking_for_text(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    texts = as_text(messages)
    if messages and messages[-1].role == "tool":
        return _instructed(texts, USE_RESULT)
    return texts


def _instructed(messages: tuple[Message, ...], instruction: str) -> tuple[Message, ...]:
    if messages and messages[0].role == "system":
        return (_say("system", messages[0].text + instruction), *messages[1:])
    return (_say("system", ASSISTANT + instruction), *messages)


def _say(role: Any, text: str) -> Message:
    return Message(role, (TextPart(text),))


def _text(message: Message, number: int) -> str:
    texts = [text for part in message.parts if (text := _part_text(part, number))]
    calls = [_call(call) for call in message.tool_calls]
    return "\n".join(["".join(texts), *calls]) if texts else "\n".join(calls)


def _part_text(part: Part, number: int) -> str:
    match part:
        case TextPart(text=text) | RefusalPart(text=text) | SpokenPart(transcript=text):
            return text
    kind = part.__struct_config__.tag
    if kind in ("image", "audio", "file"):
        raise InvalidRequest(
            f"The local model reads text only, no {kind}.", param=f"messages[{number}].content"
        )
    return ""


def _call(call: ToolCall) -> str:
    return f"{CALL.format(name=call.name)} {call.arguments or '{}'}}}\n</tool_call>"


def _signature(tool: Tool) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": {key: value for key, value in function.items() if value}}
