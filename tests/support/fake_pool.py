"""A pool of sandboxes that does what a test says."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

from media.processing.sandbox.pool import SandboxPool
from media.processing.sandbox.pool_config import PoolConfig


class FakePool(SandboxPool):
    """A pool that yields what `follow` does, and tells how its stream ends."""

    def __init__(self, follow: Callable[..., AsyncGenerator[Any, None]]) -> None:
        super().__init__(PoolConfig(name="fake"))
        self._follow = follow
        self.state = "idle"

    async def stream(self, *args: Any, **more: Any) -> AsyncGenerator[Any, None]:
        self.state = "open"
        try:
            async with aclosing(self._follow(*args, **more)) as stream:
                async for piece in stream:
                    yield piece
            self.state = "ended"
        except BaseException:
            self.state = "closed early"
            raise
