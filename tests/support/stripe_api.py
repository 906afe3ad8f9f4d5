"""A stand-in for Stripe's `POST /v1/billing/meter_events`, on loopback.

It answers as Stripe documents (https://docs.stripe.com/api/billing/meter-event/create) and as others have
observed. A known identifier is refused with 400 "An event already exists with identifier …"
(github.com/langfuse/langfuse/pull/16292); identifiers are forgotten after a day. A value has at most
15 digits. A timestamp is at most 35 days old.
"""

import json
import threading
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

KEY = "sk_test_a_secret_of_nobody"
METER = "chatapi_cost"
FIELDS = {"event_name", "identifier", "timestamp", "payload[stripe_customer_id]", "payload[value]"}
DAY = 86_400


@dataclass
class Event:
    identifier: str
    customer: str
    value: int
    timestamp: int


@dataclass
class Stripe:
    """The stand-in. `now` is its clock.

    `trouble`, if set, may answer in its place, before or after the event is taken.
    """

    url: str
    events: list[Event] = field(default_factory=list)
    requests: int = 0
    now: Callable[[], float] = time.time
    trouble: "Callable[[StripeHandler], bool] | None" = None
    lock: threading.Lock = field(default_factory=threading.Lock)
    _seen: dict[str, float] = field(default_factory=dict)

    def total(self, customer: str) -> int:
        return sum(event.value for event in self.events if event.customer == customer)

    def take(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """Take a meter event. Return the status and body of the response."""
        problem = self._problem(form)
        if problem:
            return 400, {"error": {"type": "invalid_request_error", "message": problem}}
        identifier = form["identifier"]
        with self.lock:
            if self._seen.get(identifier, 0) > self.now() - DAY:
                message = f"An event already exists with identifier {identifier}."
                return 400, {"error": {"type": "invalid_request_error", "message": message}}
            self._seen[identifier] = self.now()
            event = Event(
                identifier,
                form["payload[stripe_customer_id]"],
                int(form["payload[value]"]),
                int(form["timestamp"]),
            )
            self.events.append(event)
        return 200, {
            "object": "billing.meter_event",
            "created": int(self.now()),
            "event_name": METER,
            "identifier": identifier,
            "livemode": False,
            "payload": {"stripe_customer_id": event.customer, "value": str(event.value)},
            "timestamp": event.timestamp,
        }

    def _problem(self, form: dict[str, str]) -> str | None:
        if form.keys() != FIELDS:
            return f"Received unknown or too few parameters: {', '.join(sorted(form.keys() ^ FIELDS))}"
        if form["event_name"] != METER:
            return f"No active meter found for event name {form['event_name']}."
        if not form["payload[stripe_customer_id]"].startswith("cus_"):
            return "No such customer."
        if not form["payload[value]"].isdecimal() or len(form["payload[value]"]) > 15:
            return "The value in the event payload can have at most 15 digits."
        if len(form["identifier"]) > 100:
            return "Invalid string: identifier must be at most 100 characters"
        if not self.now() - 35 * DAY <= int(form["timestamp"]) <= self.now() + 300:
            return "The timestamp must be within the past 35 calendar days or up to 5 minutes in the future."
        return None


class StripeHandler(BaseHTTPRequestHandler):
    """The handler of one request."""

    protocol_version = "HTTP/1.1"
    stripe: Stripe
    form: dict[str, str]

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        self.form = {name: only for name, [only] in parse_qs(self.rfile.read(length).decode()).items()}
        self.stripe.requests += 1
        if self.path != "/v1/billing/meter_events":
            self.respond(
                404, {"error": {"type": "invalid_request_error", "message": "Unrecognized request URL"}}
            )
        elif not self._is_authorized():
            message = "Invalid API Key provided: sk_test_*****body"
            self.respond(401, {"error": {"type": "invalid_request_error", "message": message}})
        elif not (self.stripe.trouble and self.stripe.trouble(self)):
            self.respond(*self.stripe.take(self.form))

    def _is_authorized(self) -> bool:
        scheme, _, given = self.headers.get("Authorization", "").partition(" ")
        if scheme == "Basic":
            given = b64decode(given).decode().removesuffix(":")
        return given == KEY

    def respond(self, status: int, body: dict[str, Any] | str) -> None:
        data = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if status == 400:
            self.send_header("Stripe-Should-Retry", "false")
        self.end_headers()
        self.wfile.write(data)

    def hang_up(self) -> None:
        """Close the connection without an answer."""
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def stripe_api() -> Iterator[Stripe]:
    answers = type("Answers", (StripeHandler,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), answers)
    server.daemon_threads = True
    stripe = Stripe(f"http://127.0.0.1:{server.server_port}")
    answers.stripe = stripe  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield stripe
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
