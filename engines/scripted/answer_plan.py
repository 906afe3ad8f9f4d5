"""The plan of an answer: the request's script, adapted to the request's options."""

import json
from typing import Any

from engines.messages import AudioPart, FilePart, ImagePart, Message
from engines.requests import EngineRequest
from engines.scripted.directives import Script, TextStep, ToolCallStep, read_script
from engines.scripted.schema_instances import make_instance

_MEDIA = {ImagePart: "image", AudioPart: "audio", FilePart: "file"}


def plan_answer(request: EngineRequest) -> Script:
    """Return the script of the last user message or, after a tool's message, one that quotes its result."""
    results = _tool_results(request)
    if results:
        script = Script(content=[TextStep("text", f"The tool answered: {' | '.join(results)}")])
    else:
        user_message = next((m for m in reversed(request.messages) if m.role == "user"), Message("user"))
        script = read_script(user_message.text)
        if all(isinstance(item, TextStep) and item.kind == "reason" for item in script.content):
            script.content.append(TextStep("text", _answer_text(request, user_message, script.plain)))
    script.content = _apply_tool_choice(script.content, request)
    script.speaks = script.speaks or "audio" in request.modalities
    return script


def call_arguments(call: ToolCallStep, request: EngineRequest) -> str:
    """Return the arguments as scripted or, without any, an instance of the tool's schema."""
    if call.arguments is not None:
        return call.arguments
    tool = next((tool for tool in request.tools if tool.name == call.name), None)
    return _json(make_instance(tool.parameters) if tool and tool.parameters else {})


def _tool_results(request: EngineRequest) -> list[str]:
    """Return the results of the tool messages that end the conversation."""
    results: list[str] = []
    for message in reversed(request.messages):
        if message.role != "tool":
            break
        results.insert(0, message.text)
    return results


def _answer_text(request: EngineRequest, user_message: Message, plain: str) -> str:
    echo = f"You said: {plain}" if plain else "You said nothing."
    media = [_MEDIA[type(part)] for part in user_message.parts if type(part) in _MEDIA]
    if media:
        echo += f" (with {', '.join(media)})"
    form = request.response_format
    if form is None or form.type == "text":
        return echo
    return _json({"answer": echo} if form.type == "json_object" else make_instance(form.schema or {}))


def _apply_tool_choice(
    content: list[TextStep | ToolCallStep], request: EngineRequest
) -> list[TextStep | ToolCallStep]:
    """Apply `tool_choice` and `parallel_tool_calls`: drop forbidden calls, add a required one."""
    choice = request.tool_choice
    names = choice.names if choice else ()
    kept: list[TextStep | ToolCallStep] = []
    calls = 0
    for item in content:
        if isinstance(item, ToolCallStep):
            is_forbidden = (choice and choice.mode == "none") or (names and item.name not in names)
            if is_forbidden or (calls and not request.parallel_tool_calls):
                continue
            calls += 1
        kept.append(item)
    if choice and choice.mode == "required" and not calls:
        names = names or tuple(tool.name for tool in request.tools)
        reasons: list[TextStep | ToolCallStep] = [
            i for i in kept if isinstance(i, TextStep) and i.kind == "reason"
        ]
        return reasons + [ToolCallStep(name) for name in names[:1]]
    return kept or [TextStep("text", "I may not call that tool.")]


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
