"""The tool calls of one choice put in order, however an upstream numbers and mixes its fragments.

The result is what OpenAI's clients expect: calls numbered from 0, each opened once with its id and name,
and each ended before the next begins. A call that starts while the previous one is unfinished waits; a
call is finished when its arguments are complete JSON.
"""

import secrets

import msgspec

from engines.base import EngineError
from engines.events import Event, ToolCallArguments, ToolCallStart
from engines.openai_compatible.chunk_types import ChunkToolCall
from engines.openai_compatible.json_completeness import ObjectScanner
from engines.surrogates import SurrogateJoiner, join_surrogates, join_surrogates_in_json

WAITING_LIMIT = 4096
"""Calls that may wait for the previous one to end; more are not an answer but an attack."""


class _OpenCall:
    __slots__ = ("fragments", "joiner", "name", "number", "scanned", "scanner", "upstream_id")

    def __init__(self) -> None:
        self.upstream_id = ""
        self.name = ""
        self.number = -1
        """Its index in our order; -1 until it is opened."""
        self.fragments: list[str] = []
        self.scanned = 0
        """How many of the fragments have been scanned."""
        self.scanner = ObjectScanner()
        self.joiner = SurrogateJoiner()

    @property
    def is_whole(self) -> bool:
        """Whether the arguments so far are one JSON object. Each fragment is scanned only once."""
        for fragment in self.fragments[self.scanned :]:
            self.scanner.feed(fragment)
        self.scanned = len(self.fragments)
        return self.scanner.is_whole


class CallAssembler:
    """A reader of the fragments of one choice's calls that appends the resulting events to a list."""

    def __init__(self, choice: int) -> None:
        self._choice = choice
        self._calls: list[_OpenCall] = []
        self._by_index: dict[int, _OpenCall] = {}
        self._next = 0
        """Position of the first call that waits to be opened."""
        self._opened = 0

    @property
    def has_opened_calls(self) -> bool:
        return self._opened > 0

    def read(self, calls: list[ChunkToolCall], events: list[Event]) -> None:
        for position, fragment in enumerate(calls):
            self._read_fragment(fragment, position if fragment.index is None else fragment.index, events)
        self._open_waiting(events)
        if len(self._calls) - self._next > WAITING_LIMIT:
            raise EngineError("The upstream called more tools at once than can be kept apart.")

    def finish(self, events: list[Event]) -> None:
        for call in self._calls:
            self._add(call, call.joiner.flush(), events)
            if call.fragments and not call.name:
                raise EngineError("The upstream called a tool without naming it.")
        for call in self._calls[self._next :]:
            if call.name:
                self._open(call, events)

    def _read_fragment(self, fragment: ChunkToolCall, index: int, events: list[Event]) -> None:
        function = fragment.function
        name = (function and function.name) or ""
        arguments = _text(function.arguments) if function else ""
        call = self._by_index.get(index)
        if call is None or _is_another(call, fragment.id or "", name, arguments):
            call = self._by_index[index] = _OpenCall()
            self._calls.append(call)
        call.upstream_id = call.upstream_id or fragment.id or ""
        call.name = call.name or join_surrogates(name)
        if arguments:
            self._add(call, call.joiner.push(arguments), events)

    def _add(self, call: _OpenCall, fragment: str, events: list[Event]) -> None:
        if not fragment:
            return
        call.fragments.append(fragment)
        if call.number >= 0:
            events.append(ToolCallArguments(call.number, fragment, self._choice))

    def _open_waiting(self, events: list[Event]) -> None:
        while self._next < len(self._calls):
            call = self._calls[self._next]
            if not call.name or (self._next > 0 and not self._calls[self._next - 1].is_whole):
                break
            self._open(call, events)
            self._next += 1

    def _open(self, call: _OpenCall, events: list[Event]) -> None:
        id_ = join_surrogates(call.upstream_id) or f"call_{secrets.token_hex(12)}"
        call.number = self._opened
        self._opened += 1
        events.append(ToolCallStart(call.number, id_, call.name, self._choice))
        events.extend(ToolCallArguments(call.number, fragment, self._choice) for fragment in call.fragments)


def _is_another(call: _OpenCall, id_: str, name: str, arguments: str) -> bool:
    """Return whether a fragment under a call's index opens another call.

    Some servers give all their calls the index 0, each complete. Others repeat the name, or make up a new id,
    with each fragment of the same call.
    """
    if not name or (id_ == call.upstream_id if id_ else not arguments):
        return False
    return call.is_whole


def _text(arguments: str | dict[str, object] | None) -> str:
    """Return the arguments as text; some servers send the object itself."""
    if isinstance(arguments, dict):
        return msgspec.json.encode(join_surrogates_in_json(arguments)).decode()
    return arguments or ""
