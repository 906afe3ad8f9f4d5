"""Messages and tools as plain text, for the model's chat template (Qwen 2.5).

The tools of a call are described as the template describes them. Earlier calls are not shown as calls, as
this small model would then answer a result by repeating its call. Instead, the user's turn says what was
called and what came back, and the model answers in words (8 of 8 tries; 0 of 4 the template's way).
"""

import re
from typing import Any

import msgspec

from engines.base import InvalidRequest
from engines.messages import Message, Part, RefusalPart, SpokenPart, TextPart, text_message
from engines.requests import Tool

DEFAULT_SYSTEM_PROMPT = "You are a helpful assistant."
TOOLS_PROMPT = """

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
CALL_PREFIX = '<tool_call>\n{{"name": "{name}", "arguments":'
RESULT_TEMPLATE = "Result of {call}:\n{result}"
USE_RESULT_PROMPT = "\n\nAnswer my question with this result in a full sentence."

CONTROL_TOKEN = re.compile(r"<\|(?=\w+\|>)")
"""Where a control token begins: `<|im_start|>system` in a text must not start a message of its own."""

_encode = msgspec.json.Encoder().encode


def to_text_messages(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Return the messages with text alone; the results of a turn's calls become one user message."""
    result: list[Message] = []
    calls = {call.id: f"{call.name}({call.arguments})" for message in messages for call in message.tool_calls}
    for number, message in enumerate(messages):
        text = _message_text(message, number)
        if message.role == "tool":
            text = RESULT_TEMPLATE.format(call=calls.get(message.tool_call_id or "", "the call"), result=text)
            if messages[number - 1].role == "tool" and result:
                text = f"{result.pop().text}\n\n{text}"
            result.append(text_message("user", text))
        elif message.role == "assistant" and result and result[-1].role == "assistant":
            result.append(text_message("assistant", f"{result.pop().text}\n\n{text}".strip()))
        elif text or not message.tool_calls:
            result.append(text_message(message.role, text))
    return tuple(result)


def build_call_prompt(messages: tuple[Message, ...], tool: Tool) -> tuple[Message, ...]:
    """Return the messages with the tool in the system message and its call already begun."""
    tools = TOOLS_PROMPT.format(tools=_encode(_signature(tool)).decode())
    call = CALL_PREFIX.format(name=tool.name)
    texts = _add_instruction(to_text_messages(messages), tools)
    if texts[-1].role == "assistant":  # llama.cpp allows one assistant message at the end
        return (*texts[:-1], text_message("assistant", f"{texts[-1].text}\n{call}"))
    return (*texts, text_message("assistant", call))


def build_text_prompt(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    texts = to_text_messages(messages)
    if messages and messages[-1].role == "tool":
        return (*texts[:-1], text_message("user", texts[-1].text + USE_RESULT_PROMPT))
    return texts


def _add_instruction(messages: tuple[Message, ...], instruction: str) -> tuple[Message, ...]:
    if messages and messages[0].role == "system":
        return (text_message("system", messages[0].text + instruction), *messages[1:])
    return (text_message("system", DEFAULT_SYSTEM_PROMPT + instruction), *messages)


def _message_text(message: Message, number: int) -> str:
    return "".join(_part_text(part, number) for part in message.parts)


def _part_text(part: Part, number: int) -> str:
    match part:
        case TextPart(text=text) | RefusalPart(text=text) | SpokenPart(transcript=text):
            return CONTROL_TOKEN.sub("< |", text)
    kind = part.__struct_config__.tag
    if kind in ("image", "audio", "file"):
        raise InvalidRequest(
            f"The local model reads text only, no {kind}.", param=f"messages[{number}].content"
        )
    return ""


def _signature(tool: Tool) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": {key: value for key, value in function.items() if value}}
