"""The queue of a workspace: some of its requests run at once, and other workspaces do not wait for them."""

import asyncio
from uuid import UUID

import pytest

from chatapi.audio.workspace_queue import WorkspaceQueue
from core.exceptions import RateLimited
from core.http.body import ClientDisconnected

OURS, THEIRS = UUID(int=1), UUID(int=2)


class Visit:
    """A request that is at work until `let_go` is set."""

    def __init__(self, queue: WorkspaceQueue, workspace_id: UUID) -> None:
        self.is_gone = asyncio.Event()
        self.let_go = asyncio.Event()
        self.is_at_work = False
        self.task = asyncio.create_task(self._run(queue, workspace_id))

    async def _run(self, queue: WorkspaceQueue, workspace_id: UUID) -> None:
        async with queue.slot(workspace_id, self.is_gone):
            self.is_at_work = True
            await self.let_go.wait()
        self.is_at_work = False


async def until_quiet() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


def test_others_do_not_wait_for_ours() -> None:
    async def scenario() -> None:
        queue = WorkspaceQueue(2, 10)
        ours = [Visit(queue, OURS) for _ in range(5)]
        theirs = Visit(queue, THEIRS)
        await until_quiet()
        assert [visit.is_at_work for visit in ours] == [True, True, False, False, False]
        assert theirs.is_at_work
        ours[1].let_go.set()
        await until_quiet()
        assert [visit.is_at_work for visit in ours] == [True, False, True, False, False]
        for visit in [*ours, theirs]:
            visit.let_go.set()
        await asyncio.gather(theirs.task, *(visit.task for visit in ours))

    asyncio.run(scenario())


def test_a_request_that_leaves_the_queue_takes_no_place() -> None:
    async def scenario() -> None:
        queue = WorkspaceQueue(1, 10)
        first, leaving, cancelled, last = (Visit(queue, OURS) for _ in range(4))
        await until_quiet()
        leaving.is_gone.set()
        cancelled.task.cancel()
        first.let_go.set()
        await until_quiet()
        assert last.is_at_work
        with pytest.raises(ClientDisconnected):
            await leaving.task
        with pytest.raises(asyncio.CancelledError):
            await cancelled.task
        last.let_go.set()
        await last.task

    asyncio.run(scenario())


def test_too_many_requests_are_refused_and_may_come_again() -> None:
    async def scenario() -> None:
        queue = WorkspaceQueue(1, 2)
        here = [Visit(queue, OURS) for _ in range(2)]
        await until_quiet()
        with pytest.raises(RateLimited):
            async with queue.slot(OURS, asyncio.Event()):
                raise AssertionError("it had no turn")
        for visit in here:
            visit.let_go.set()
        await asyncio.gather(*(visit.task for visit in here))
        async with queue.slot(OURS, asyncio.Event()):
            pass

    asyncio.run(scenario())
