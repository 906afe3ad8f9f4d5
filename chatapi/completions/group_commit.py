"""Group commit: one thread writes all waiting runs and settlements in one transaction.

A statement costs about the same for one row as for fifty, and each commit costs a disk flush. So the calls
that arrive while a transaction runs go into the next one.
"""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple
from uuid import UUID

from django.db import Error, IntegrityError, InterfaceError, OperationalError, connection, transaction

from billing.api_errors import billing_api_error
from billing.exceptions import BillingError
from billing.holds import ChargeRequest, ChargeSettlement, Hold, HoldBatch, WalletChanged
from billing.tariffs import Bound
from conversations.admission import Deferred, admit_all
from conversations.settlement import Settlement, settle_all
from conversations.stored_run import Admission, StoredRun
from core.exceptions import ApiError, Internal
from core.http.exception_handler import database_down_error

logger = logging.getLogger(__name__)

MAX_BATCH = 256
RETRY_SECONDS = 0.5


class HoldRequest(NamedTuple):
    """A call that is billed, but not stored."""

    charge_request: ChargeRequest
    bound: Bound


Write = StoredRun | Settlement | HoldRequest | ChargeSettlement


class _Job(NamedTuple):
    """An item to store, and the future that its coroutine is waiting for."""

    item: Write
    future: "asyncio.Future[Admission | Hold | None]"


_Outcome = tuple[_Job, Admission | Hold | Deferred | ApiError | None]


class GroupCommitWriter:
    """Stores runs and settlements in its own thread; belongs to the loop that it was created in."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._jobs: deque[_Job] = deque()
        self._deferred: dict[tuple[UUID, str], deque[_Job]] = {}
        self._has_work = threading.Event()
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name="chatapi-writer", daemon=True)
        self._thread.start()

    async def admit(self, run: StoredRun) -> Admission:
        """Store a run. Raises the `ApiError` that refuses it, a 503 if the database is down."""
        admission = await self._enqueue(run)
        if not isinstance(admission, Admission):
            raise Internal
        return admission

    async def hold(self, request: HoldRequest) -> Hold:
        """Hold what a call may cost. Raises the same errors as `admit`."""
        hold = await self._enqueue(request)
        if not isinstance(hold, Hold):
            raise Internal
        return hold

    async def settle(self, end: Settlement | ChargeSettlement) -> None:
        """Store a settlement, however long the database is down: a settlement must not be lost."""
        await self._enqueue(end)

    async def close(self) -> None:
        """Store what is waiting, then stop."""
        self._is_closing = True
        self._has_work.set()
        await asyncio.to_thread(self._thread.join)

    def _enqueue(self, item: Write) -> "asyncio.Future[Admission | Hold | None]":
        future: asyncio.Future[Admission | Hold | None] = self._loop.create_future()
        self._jobs.append(_Job(item, future))
        self._has_work.set()
        return future

    # --- in the thread --------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not (self._is_closing and not self._jobs):
                self._has_work.wait()
                self._has_work.clear()
                while self._jobs:
                    self._write([self._jobs.popleft() for _ in range(min(len(self._jobs), MAX_BATCH))])
                    self._requeue_deferred()
        finally:
            connection.close()

    def _write(self, jobs: list[_Job]) -> None:
        try:
            outcomes = _transact_with_retry(jobs)
        except Exception as error:
            if isinstance(error, Error) and _is_database_fault(error):
                self._wait_for_database(jobs, error)
            elif len(jobs) > 1:
                logger.warning("A batch failed; its members are tried one by one", exc_info=True)
                for job in jobs:
                    self._write([job])
            else:
                logger.exception("A write failed")
                self._deliver([(jobs[0], Internal())])
        else:
            self._deliver(outcomes)

    def _requeue_deferred(self) -> None:
        """Requeue one call per claim: the next transaction would defer all others with the same claim."""
        for claim, jobs in list(self._deferred.items()):
            self._jobs.appendleft(jobs.popleft())
            if not jobs:
                del self._deferred[claim]

    def _wait_for_database(self, jobs: list[_Job], error: Exception) -> None:
        """Refuse the calls, but keep the settlements until the database is back."""
        logger.error("The database does not answer: %s", error)
        kept = (
            []
            if self._is_closing
            else [job for job in jobs if isinstance(job.item, Settlement | ChargeSettlement)]
        )
        self._deliver([(job, database_down_error()) for job in jobs if job not in kept])
        if kept:
            self._jobs.extend(kept)
            time.sleep(RETRY_SECONDS)

    def _deliver(self, outcomes: Iterable[_Outcome]) -> None:
        results = []
        for job, outcome in outcomes:
            if isinstance(outcome, Deferred):
                self._deferred.setdefault(outcome.claim, deque()).append(job)
            else:
                results.append((job, outcome))
        try:
            self._loop.call_soon_threadsafe(_resolve_futures, results)
        except RuntimeError:  # the loop is closed: nobody is waiting anymore
            logger.warning("The server stopped before it could tell how a write ended")


def _transact_with_retry(jobs: Sequence[_Job]) -> list[_Outcome]:
    """Run a transaction, again if it failed in a way that a second try may fix.

    Only the first statement shows that a connection broke while it was idle, only a constraint that another
    process has the same idempotency key, and only an update that it spent from the same wallet.
    """
    try:
        return _transact(jobs)
    except (OperationalError, InterfaceError):
        connection.close()
    except (IntegrityError, WalletChanged):
        pass
    return _transact(jobs)


_SQLITE_FAULTS = tuple(
    f"SQLITE_{name}" for name in ("BUSY", "LOCKED", "FULL", "READONLY", "IOERR", "CANTOPEN")
)
_SQLSTATE_FAULTS = ("08", "25006", "53", "57")
"""Connection lost; read-only; out of disk, memory or connections; stopped by an operator."""


def _is_database_fault(error: Error) -> bool:
    """Return whether any write would fail now, not only this one."""
    name = getattr(error.__cause__, "sqlite_errorname", None) or ""
    state = getattr(error.__cause__, "sqlstate", None) or ""
    return name.startswith(_SQLITE_FAULTS) or state.startswith(_SQLSTATE_FAULTS) or not _is_database_alive()


def _is_database_alive() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Error:
        connection.close()
        return False
    return True


def _transact(jobs: Sequence[_Job]) -> list[_Outcome]:
    """Store the jobs in one transaction, and return the outcome of each.

    Settlements come first: a call may continue an answer that ends in the same batch.
    """
    runs: list[tuple[_Job, StoredRun]] = []
    requests: list[tuple[_Job, HoldRequest]] = []
    settlements: list[Settlement] = []
    ends: list[ChargeSettlement] = []
    outcomes: list[_Outcome] = []
    for job in jobs:
        item = job.item
        if isinstance(item, Settlement | ChargeSettlement):
            outcomes.append((job, None))
        if isinstance(item, Settlement):
            settlements.append(item)
            ends.append(item.charge)
        elif isinstance(item, ChargeSettlement):
            ends.append(item)
        elif isinstance(item, HoldRequest):
            requests.append((job, item))
        else:
            runs.append((job, item))
    charges = [
        *(run.charge_request for _, run in runs),
        *(run.recognition_request for _, run in runs if run.recognition_request),
        *(request.charge_request for _, request in requests),
    ]
    with transaction.atomic(), HoldBatch(charges, ends) as batch:
        if settlements:
            settle_all(settlements, batch.costs)
        if runs:
            admitted = admit_all([run for _, run in runs], batch)
            outcomes += zip([job for job, _ in runs], admitted, strict=True)
        outcomes += [(job, _try_hold(request, batch)) for job, request in requests]
    return outcomes


def _try_hold(request: HoldRequest, batch: HoldBatch) -> Hold | ApiError:
    try:
        return batch.hold(request.charge_request, lambda: request.bound)
    except BillingError as problem:
        return billing_api_error(problem)


def _resolve_futures(outcomes: Iterable[tuple[_Job, Admission | Hold | ApiError | None]]) -> None:
    for job, outcome in outcomes:
        if job.future.done():
            continue
        if isinstance(outcome, ApiError):
            job.future.set_exception(outcome)
        else:
            job.future.set_result(outcome)
