"""Puts the tool calls of one choice in order, however an upstream numbers and mixes its fragments.

What goes out is what OpenAI's clients expect: calls numbered from 0, each opened once with its id
and its name, and one ended before the next begins. A call that starts while the one before it is
unfinished waits; a finished one is known by its arguments being whole JSON.
"""

import secrets

import msgspec

from ..base import EngineError
from ..text import SurrogateJoiner, whole
from ..values import Event, ToolCallArguments, ToolCallStart
from .wire import Call


class _OpenCall:
    __slots__ = ("fragments", "id", "joiner", "name", "number", "sent", "upstream_id")

    def __init__(self) -> None:
        self.upstream_id = ""
        self.id = ""
        self.name = ""
        self.number = -1
        """Its index in our order; -1 until it is opened."""
        self.fragments: list[str] = []
        self.sent = 0
        """How many of the fragments went out."""
        self.joiner = SurrogateJoiner()

    @property
    def is_whole(self) -> bool:
        if not self.fragments or not self.fragments[-1].rstrip().endswith("}"):
            return False
        try:
            msgspec.json.decode("".join(self.fragments), type=msgspec.Raw)
        except (msgspec.DecodeError, UnicodeEncodeError):
            return False
        return True


class CallAssembler:
    """Reads the fragments of one choice's calls and appends the events they make to a list."""

    def __init__(self, choice: int) -> None:
        self._choice = choice
        self._calls: list[_OpenCall] = []
        self._by_index: dict[int, _OpenCall] = {}
        self._opened = 0

    @property
    def any_opened(self) -> bool:
        return self._opened > 0

    def read(self, calls: list[Call], events: list[Event]) -> None:
        for position, fragment in enumerate(calls):
            self._take(fragment, position if fragment.index is None else fragment.index)
        self._send(events, finished=False)

    def finish(self, events: list[Event]) -> None:
        for call in self._calls:
            rest = call.joiner.flush()
            if rest:
                call.fragments.append(rest)
            if call.fragments and not call.name:
                raise EngineError("The upstream called a tool without naming it.")
        self._send(events, finished=True)

    def _take(self, fragment: Call, index: int) -> None:
        function = fragment.function
        name = (function and function.name) or ""
        arguments = _text(function.arguments) if function else ""
        call = self._by_index.get(index)
        if call is None or _is_another(call, fragment.id or "", name, arguments):
            call = self._by_index[index] = _OpenCall()
            self._calls.append(call)
        call.upstream_id = call.upstream_id or fragment.id or ""
        call.name = call.name or whole(name)
        arguments = call.joiner.push(arguments) if arguments else ""
        if arguments:
            call.fragments.append(arguments)

    def _send(self, events: list[Event], *, finished: bool) -> None:
        for position, call in enumerate(self._calls):
            if call.number < 0 and not self._may_open(position, finished):
                break
            if call.number < 0 and call.name:
                self._open(call, events)
            if call.number >= 0:
                self._send_arguments(call, events)

    def _may_open(self, position: int, finished: bool) -> bool:
        if finished or position == 0:
            return True
        before = self._calls[position - 1]
        return before.number >= 0 and before.is_whole

    def _open(self, call: _OpenCall, events: list[Event]) -> None:
        call.id = whole(call.upstream_id) or f"call_{secrets.token_hex(12)}"
        call.number = self._opened
        self._opened += 1
        events.append(ToolCallStart(call.number, call.id, call.name, self._choice))

    def _send_arguments(self, call: _OpenCall, events: list[Event]) -> None:
        for fragment in call.fragments[call.sent :]:
            events.append(ToolCallArguments(call.number, fragment, self._choice))
        call.sent = len(call.fragments)


def _is_another(call: _OpenCall, id_: str, name: str, arguments: str) -> bool:
    """Whether a fragment under a call's index opens another call.

    Some servers give all of their calls the index 0, each whole. Others repeat the name, or make
    up a new id, with each fragment of the same call.
    """
    if not name or (id_ == call.upstream_id if id_ else not arguments):
        return False
    return call.is_whole


def _text(arguments: str | dict[str, object] | None) -> str:
    """The arguments as text; some servers send the object itself."""
    if isinstance(arguments, dict):
        return msgspec.json.encode(arguments).decode()
    return arguments or ""
