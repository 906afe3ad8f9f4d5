"""What the settings say of task brokers."""

from typing import Any

VISIBILITY_SECONDS = 3600
"""When Redis delivers again what a dead worker had. Longer than most tasks: what is still being done would be
delivered again too. Nobody waits for it: the sweeps find sooner what a dead worker left."""
SILENCE_SECONDS = 5
"""How long Redis may be silent, also to a request that asks for work. More than the second for which workers
wait there for a message."""


def transport_options(url: str, connect_seconds: float) -> dict[str, Any]:
    """Without these a Redis that swallows packets would hold up a request for minutes."""
    scheme = url.partition("://")[0]
    if scheme == "memory":
        return {"polling_interval": 0.02}
    if scheme in {"redis", "rediss"}:
        return {
            "visibility_timeout": VISIBILITY_SECONDS,
            "socket_connect_timeout": connect_seconds,
            "socket_timeout": SILENCE_SECONDS,
        }
    return {}


def every(seconds: int, task: str) -> dict[str, Any]:
    """An entry of the schedule. What no worker took until the next is due is dropped."""
    return {"task": task, "schedule": float(seconds), "options": {"expires": seconds}}
