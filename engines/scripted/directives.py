"""The directives in a message, which the package's docstring describes."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, get_args

from engines.base import EngineError, InvalidRequest, Unavailable
from engines.events import FinishReason

Speech = Literal["text", "reason", "refuse"]

_OPENING = re.compile(r"\[\[\s*([a-z-]+)\s*(:|(?=\]\]))\s*")
_ERROR_FIELD = re.compile(r"(retry_after|code|param|type)=(\S+)\s*")
_DURATION_LIMIT = 3600.0
_CHUNK_LIMIT = 1_000_000


@dataclass(frozen=True)
class TextStep:
    kind: Speech
    text: str


@dataclass(frozen=True)
class ToolCallStep:
    """A tool call; `arguments` is JSON text, or None if they are to be made up."""

    name: str
    arguments: str | None = None


@dataclass
class Script:
    content: list[TextStep | ToolCallStep] = field(default_factory=list)
    plain: str = ""
    """The message without its directives."""
    speaks: bool = False
    wait: float = 0
    slow: float = 0
    finish: FinishReason | None = None
    error: EngineError | None = None
    error_after: tuple[int, EngineError] | None = None
    ending: Literal["finish", "stall", "break"] = "finish"


def read_script(message: str) -> Script:
    script = Script()
    plain: list[str] = []
    position = 0
    while opening := _OPENING.search(message, position):
        plain.append(message[position : opening.start()])
        name = opening.group(1)
        if name not in _DIRECTIVES:
            plain.append(opening.group())
            position = opening.end()
            continue
        end = _find_end(message, opening.end(), name)
        if end < 0:
            position = opening.start()
            break
        argument = message[opening.end() : end].strip()
        try:
            _DIRECTIVES[name](script, argument)
        except (ValueError, OverflowError) as error:
            whole = message[opening.start() : end + 2]
            raise InvalidRequest(f"The directive {whole} cannot be understood.", param="messages") from error
        position = end + 2
    script.plain = ("".join(plain) + message[position:]).strip()
    return script


def _find_end(message: str, start: int, name: str) -> int:
    """Return where the closing brackets are; JSON may hold brackets of its own."""
    end = message.find("]]", start)
    brace = message.find("{", start, end) if name == "tool" and end >= 0 else -1
    if brace >= 0:
        try:
            _, after = json.JSONDecoder().raw_decode(message, brace)
        except (ValueError, RecursionError):
            return end
        return message.find("]]", after)
    return end


# --- one function per directive -----------------------------------------------------------------


def _say(kind: Speech, script: Script, argument: str) -> None:
    script.content.append(TextStep(kind, argument))


def _chunks(script: Script, argument: str) -> None:
    count = int(argument)
    if not 0 < count <= _CHUNK_LIMIT:
        raise ValueError(argument)
    script.content.append(TextStep("text", " ".join(f"w{number}" for number in range(1, count + 1))))


def _tool(script: Script, argument: str) -> None:
    name, _, arguments = argument.partition(" ")
    arguments = arguments.strip()
    if not name or (arguments and not isinstance(json.loads(arguments), dict)):
        raise ValueError(argument)
    script.content.append(ToolCallStep(name, arguments or None))


def _audio(script: Script, argument: str) -> None:
    script.speaks = True


def _wait(script: Script, argument: str) -> None:
    script.wait = _seconds(argument)


def _slow(script: Script, argument: str) -> None:
    script.slow = _seconds(argument)


def _finish(script: Script, argument: str) -> None:
    reasons: tuple[FinishReason, ...] = get_args(FinishReason)
    script.finish = reasons[reasons.index(argument)]


def _error(script: Script, argument: str) -> None:
    script.error = _read_error(argument)


def _error_after(script: Script, argument: str) -> None:
    count, _, rest = argument.partition(" ")
    script.error_after = int(count), _read_error(rest)


def _end(ending: Literal["stall", "break"], script: Script, argument: str) -> None:
    script.ending = ending


_DIRECTIVES: dict[str, Callable[[Script, str], None]] = {
    "text": partial(_say, "text"),
    "reason": partial(_say, "reason"),
    "refuse": partial(_say, "refuse"),
    "chunks": _chunks,
    "tool": _tool,
    "audio": _audio,
    "wait": _wait,
    "slow": _slow,
    "finish": _finish,
    "error": _error,
    "error-after": _error_after,
    "stall": partial(_end, "stall"),
    "break": partial(_end, "break"),
}


def _seconds(argument: str) -> float:
    seconds = float(argument)
    if not 0 <= seconds <= _DURATION_LIMIT:
        raise ValueError(argument)
    return seconds


def _read_error(argument: str) -> EngineError:
    number, _, rest = argument.strip().partition(" ")
    status = int(number)
    if not 400 <= status < 600:
        raise ValueError(argument)
    fields: dict[str, Any] = {"upstream_failure": "status"}  # as of one that answers so
    rest = rest.strip()
    while found := _ERROR_FIELD.match(rest):
        name, value = found.groups()
        fields[name] = _seconds(value) if name == "retry_after" else value
        rest = rest[found.end() :]
    fields.setdefault("type", _type_of_error(status))
    return _kind_of_error(status)(rest or f"Scripted error {status}.", status=status, **fields)


def _type_of_error(status: int) -> str:
    if status == 429:
        return "rate_limit_error"
    return "invalid_request_error" if status < 500 else "server_error"


def _kind_of_error(status: int) -> type[EngineError]:
    if status in (503, 504):
        return Unavailable
    return InvalidRequest if status in (400, 413, 422) else EngineError
