"""A Redis broker transport whose connection may break at any time."""

from typing import Any

from kombu.transport import redis


class Channel(redis.Channel):
    """A channel that reports a closed connection as `ConnectionError`, after which Celery reconnects.

    Celery 5.7 closes a broken connection twice. The second time, kombu 5.7 tries to give back the messages of
    running tasks, finds no address anymore, and fails with an AttributeError, which killed the worker.
    """

    def _connparams(self, asynchronous: bool = False) -> Any:
        if self.connection is None or self.connection.client is None:
            raise ConnectionError("the connection to Redis is closed")
        return super()._connparams(asynchronous)  # type: ignore[misc]  # missing from the stubs


class Transport(redis.Transport):
    Channel = Channel
