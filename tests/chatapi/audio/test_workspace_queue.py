"""Whose turn it is: some of a workspace's requests, and never all of the places."""

import asyncio
from uuid import UUID

import pytest

from chatapi.audio.workspace_queue import WorkspaceQueue
from core.exceptions import RateLimited
from core.http.body import ClientGone

OURS, THEIRS = UUID(int=1), UUID(int=2)


class Visit:
    """A request that is at work until it is let go."""

    def __init__(self, turns: WorkspaceQueue, workspace_id: UUID) -> None:
        self.is_gone = asyncio.Event()
        self.let_go = asyncio.Event()
        self.is_at_work = False
        self.task = asyncio.create_task(self._run(turns, workspace_id))

    async def _run(self, turns: WorkspaceQueue, workspace_id: UUID) -> None:
        async with turns.turn(workspace_id, self.is_gone):
            self.is_at_work = True
            await self.let_go.wait()
        self.is_at_work = False


async def settled() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


def test_others_do_not_wait_for_ours() -> None:
    async def story() -> None:
        turns = WorkspaceQueue(2, 10)
        ours = [Visit(turns, OURS) for _ in range(5)]
        theirs = Visit(turns, THEIRS)
        await settled()
        assert [visit.is_at_work for visit in ours] == [True, True, False, False, False]
        assert theirs.is_at_work
        ours[1].let_go.set()
        await settled()
        assert [visit.is_at_work for visit in ours] == [True, False, True, False, False]
        for visit in [*ours, theirs]:
            visit.let_go.set()
        await asyncio.gather(theirs.task, *(visit.task for visit in ours))

    asyncio.run(story())


def test_who_leaves_the_queue_takes_nobodys_turn() -> None:
    async def story() -> None:
        turns = WorkspaceQueue(1, 10)
        first, leaving, cancelled, last = (Visit(turns, OURS) for _ in range(4))
        await settled()
        leaving.is_gone.set()
        cancelled.task.cancel()
        first.let_go.set()
        await settled()
        assert last.is_at_work
        with pytest.raises(ClientGone):
            await leaving.task
        with pytest.raises(asyncio.CancelledError):
            await cancelled.task
        last.let_go.set()
        await last.task

    asyncio.run(story())


def test_too_many_are_refused_and_may_come_again() -> None:
    async def story() -> None:
        turns = WorkspaceQueue(1, 2)
        here = [Visit(turns, OURS) for _ in range(2)]
        await settled()
        with pytest.raises(RateLimited):
            async with turns.turn(OURS, asyncio.Event()):
                raise AssertionError("it had no turn")
        for visit in here:
            visit.let_go.set()
        await asyncio.gather(*(visit.task for visit in here))
        async with turns.turn(OURS, asyncio.Event()):
            pass

    asyncio.run(story())
