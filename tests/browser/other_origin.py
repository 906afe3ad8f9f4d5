"""A web server of somebody else's, with pages that a test writes."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class OtherOrigin:
    """Its address is no name of the service's site: browsers send it none of the service's cookies."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.pages: dict[str, str] = {}
        self.actions: dict[str, Callable[[], tuple[int, dict[str, Any]]]] = {}
        """What it does at a path where something is posted: returns a status and a JSON object."""


@contextmanager
def serving_pages() -> Iterator[OtherOrigin]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = origin.pages.get(self.path)
            self.send_response(HTTPStatus.OK if page is not None else HTTPStatus.NOT_FOUND)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write((page or "").encode())

        def do_POST(self) -> None:
            status, body = origin.actions[self.path]()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *args: Any) -> None:
            """Write nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    origin = OtherOrigin(server.server_port)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield origin
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
