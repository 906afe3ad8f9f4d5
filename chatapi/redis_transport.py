"""Redis as a broker whose connection may break at any time."""

from typing import Any

from kombu.transport import redis


class Channel(redis.Channel):
    """Says of a closed connection that it is closed, which Celery takes for what it is, and connects again.

    Celery 5.7 closes twice what broke. The second time kombu 5.7 wants to give back the messages of tasks
    that still run, finds no address any more, and fails with an AttributeError, of which the worker died.
    """

    def _connparams(self, asynchronous: bool = False) -> Any:
        if self.connection is None or self.connection.client is None:
            raise ConnectionError("the connection to Redis is closed")
        return super()._connparams(asynchronous)  # type: ignore[misc]  # the stubs leave it out


class Transport(redis.Transport):
    Channel = Channel
