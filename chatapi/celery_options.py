"""Task broker options for the settings."""

from typing import Any

VISIBILITY_SECONDS = 3600
"""Seconds until Redis redelivers what a dead worker had.

Longer than most tasks, because a task still running would be redelivered too. Nobody waits for this: the
sweeps find what a dead worker left sooner.
"""
SOCKET_TIMEOUT_SECONDS = 5
"""How long Redis may be silent, even when asked for work. More than the one second that workers wait there
for a message."""


def transport_options(url: str, connect_seconds: float) -> dict[str, Any]:
    """Return options without which a Redis that swallows packets would hold up a request for minutes."""
    scheme = url.partition("://")[0]
    if scheme == "memory":
        return {"polling_interval": 0.02}
    if scheme in {"redis", "rediss"}:
        return {
            "visibility_timeout": VISIBILITY_SECONDS,
            "socket_connect_timeout": connect_seconds,
            "socket_timeout": SOCKET_TIMEOUT_SECONDS,
        }
    return {}


def every(seconds: int, task: str) -> dict[str, Any]:
    """Return a schedule entry. A task that no worker takes before the next is due is dropped."""
    return {"task": task, "schedule": float(seconds), "options": {"expires": seconds}}
