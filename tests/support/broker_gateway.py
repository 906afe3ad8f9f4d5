"""A gateway to a real broker. Shutting it cuts connections; new ones are refused or never answered."""

import contextlib
import selectors
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

Mode = Literal["open", "refusing", "silent"]


def reserve_port() -> socket.socket:
    """Return a socket with a loopback port that nobody is given by chance. It never listens.

    Who knows the port may listen on it, again and again, with SO_REUSEADDR, which `create_server` sets.
    """
    reserved = socket.socket()
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reserved.bind(("127.0.0.1", 0))
    return reserved


class Gateway:
    """A proxy on a loopback port. It listens while it is open or silent."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._broker = (str(parts.hostname), int(parts.port or 0))
        self._reserved = reserve_port()
        self.address = self._reserved.getsockname()
        self._listener = socket.create_server(self.address)
        identity = parts.netloc.rpartition("@")[0]
        netloc = f"{identity}@127.0.0.1:{self.address[1]}".removeprefix("@")
        self.url = urlunsplit(parts._replace(netloc=netloc))
        self._mode: Mode = "open"
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._selector = selectors.DefaultSelector()
        self._lock = threading.Lock()
        self._is_over = False
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def set_mode(self, mode: Mode) -> None:
        with self._lock:
            if self._mode == "refusing":
                self._listener = socket.create_server(self.address)
                self._selector.register(self._listener, selectors.EVENT_READ)
            self._mode = mode
            # newest first, so a worker notices where it listens for commands and still waits for tasks
            for connection in reversed(tuple(self._pairs)):
                self._drop(connection)
            if mode == "refusing":
                self._selector.unregister(self._listener)
                self._listener.close()

    def end(self) -> None:
        self.set_mode("silent")
        self._is_over = True
        self._thread.join()
        self._listener.close()
        self._reserved.close()
        self._selector.close()

    def _run(self) -> None:
        while not self._is_over:
            ready = self._selector.select(0.05)
            with self._lock:
                for key, _ in ready:
                    connection = key.fileobj
                    assert isinstance(connection, socket.socket)
                    if connection.fileno() >= 0:
                        self._serve(connection)
        for connection in tuple(self._pairs):
            self._drop(connection)

    def _serve(self, connection: socket.socket) -> None:
        if connection is self._listener:
            self._accept()
        elif connection in self._pairs:
            try:
                data = connection.recv(2**16)
                self._pairs[connection].sendall(data)
            except OSError:
                data = b""
            if not data:
                self._drop(connection)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        if self._mode == "silent":
            self._pairs[client] = client  # kept open, never read
            return
        broker = socket.create_connection(self._broker)
        for one, other in ((client, broker), (broker, client)):
            self._pairs[one] = other
            self._selector.register(one, selectors.EVENT_READ)

    def _drop(self, connection: socket.socket) -> None:
        other = self._pairs.pop(connection, None)
        for one in {connection, other} - {None}:
            assert one is not None
            self._pairs.pop(one, None)
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(one)
            one.close()


@contextmanager
def gateway(url: str) -> Iterator[Gateway]:
    proxy = Gateway(url)
    try:
        yield proxy
    finally:
        proxy.end()
