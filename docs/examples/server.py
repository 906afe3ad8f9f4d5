"""The little server behind chat.html: it serves the page, and makes a token for whoever opens it.

    CHAT_KEY=sk-chatapi-… python docs/examples/server.py

The service needs CHATAPI_CORS_ORIGINS=http://127.0.0.1:8080. Your own server knows who is signed in with you;
this one takes everybody for the same customer.
"""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import Request, urlopen

SERVICE = os.environ.get("CHAT_SERVICE", "http://127.0.0.1:8000")
PORT = int(os.environ.get("PORT", "8080"))
PAGE = Path(__file__).with_name("chat.html").read_text().replace("http://127.0.0.1:8000", SERVICE)


def make_token(user: str) -> bytes:
    """Return the service's answer, which holds the token; the key stays here."""
    body = {"user": user, "expires_in_seconds": 900, "spending_limit_usd": "0.50"}
    headers = {"Authorization": f"Bearer {os.environ['CHAT_KEY']}", "Content-Type": "application/json"}
    request = Request(f"{SERVICE}/v1/end_user_tokens", json.dumps(body).encode(), headers)  # noqa: S310
    with urlopen(request) as answer:  # noqa: S310
        return bytes(answer.read())


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.answer(PAGE.encode(), "text/html; charset=utf-8")

    def do_POST(self) -> None:
        self.answer(make_token("customer-17"), "application/json")

    def answer(self, body: bytes, media_type: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    if "CHAT_KEY" not in os.environ:
        raise SystemExit("Set CHAT_KEY to an API key: manage.py create_api_key EMAIL makes one.")
    print(f"http://127.0.0.1:{PORT}/")  # noqa: T201
    ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
