"""The bytes of an event stream, split into the payloads of its `data:` lines.

Every `data:` line is one event: all chat servers write it that way, and it makes a missing blank line, at
the end or between two events, harmless.
"""

from engines.base import EngineError

LINE_LIMIT = 64 * 2**20
"""In bytes. Sound and pictures come base64-encoded on one line, so this is far above text."""
STRAY_LIMIT = 64 * 2**10
_BOM = b"\xef\xbb\xbf"
_FIELDS = (b":", b"event:", b"id:", b"retry:")


class LineSplitter:
    """A splitter that takes bytes in any pieces and returns the payloads that are complete."""

    def __init__(self, line_limit: int = LINE_LIMIT) -> None:
        self._line_limit = line_limit
        self._held = bytearray()
        self._has_begun = False
        self.stray = bytearray()
        """The first lines that belong to no event stream, to find out what came instead."""

    @property
    def held_size(self) -> int:
        """Bytes of the incomplete line."""
        return len(self._held)

    def feed(self, data: bytes) -> list[bytes]:
        # nearly all reads bring just one event
        if not self._held and data.startswith(b"data:") and data.find(b"\n") == len(data) - 2:
            return [data[5:]]
        return self._split(data)

    def _split(self, data: bytes) -> list[bytes]:
        if not self._has_begun:
            self._has_begun = True
            data = data.removeprefix(_BOM)
        lines = data.split(b"\n")
        tail = lines.pop()
        if lines and self._held:
            self._held += lines[0]
            lines[0] = bytes(self._held)
            self._held = bytearray()
        if tail:
            self._hold(tail)
        payloads = []
        for line in lines:
            if line.startswith(b"data:"):
                payloads.append(line[5:])
            elif line:
                self._note_stray(line)
        return payloads

    def end(self) -> list[bytes]:
        """Return the payload of an unfinished last line, if there is one."""
        return self._split(b"\n") if self._held else []

    def _hold(self, piece: bytes) -> None:
        self._held += piece
        if len(self._held) > self._line_limit:
            raise EngineError(f"The upstream sent a line of more than {self._line_limit} bytes.")

    def _note_stray(self, line: bytes) -> None:
        if len(self.stray) < STRAY_LIMIT and line != b"\r" and not line.startswith(_FIELDS):
            self.stray += line[:STRAY_LIMIT] + b"\n"
