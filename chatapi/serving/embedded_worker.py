"""The default for background work: a Celery worker and its beat as threads of the server."""

import logging
import os
import threading
import time

from celery import Celery
from celery.beat import Scheduler
from celery.worker import WorkController, state
from kombu.exceptions import OperationalError

from media.renditions.lanes import THREADS

logger = logging.getLogger(__name__)

MIN_SLEEP_SECONDS = 0.02
"""Celery's scheduler wakes 10 ms before something is due, and says then to look again at once, and again."""
MAX_SLEEP_SECONDS = 60.0
"""Seconds until the schedule is checked again, even if nothing is due."""
RESTART_DELAY_SECONDS = 5.0
"""Seconds until a new worker replaces one that ended by itself."""


class EmbeddedWorker:
    """A worker that runs tasks, and sends those that are due, in this process.

    The threads are daemons: a task that does not end in time is left to the sweep, as in a crash.
    """

    worker_class: type[WorkController] = WorkController

    def __init__(
        self, app: Celery, *, threads: int = THREADS, restart_delay: float = RESTART_DELAY_SECONDS
    ) -> None:
        os.environ.setdefault("CELERY_SKIP_CHECKS", "1")  # they have run already
        self._app = app
        self._concurrency = threads
        self._restart_delay = restart_delay
        self._worker = self.create_worker()
        self._scheduler = Scheduler(app=app)
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, name="celery-worker", daemon=True),
            threading.Thread(target=self._beat, name="celery-beat", daemon=True),
        ]

    def start(self) -> None:
        logging.getLogger("kombu.connection").setLevel(logging.ERROR)  # it warns that memory:// has no host
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Take no more tasks; return at once."""
        self._stopping.set()
        state.should_stop = os.EX_OK  # type: ignore[assignment]

    def wait(self, seconds: float) -> bool:
        """Wait at most `seconds` for running tasks to end; return whether they have."""
        latest = time.monotonic() + seconds
        while state.active_requests and time.monotonic() < latest:
            time.sleep(0.02)
        return not state.active_requests

    def _work(self) -> None:
        """Run workers until told to stop.

        Celery logs an error that a worker cannot survive and ends it: the server would be left without one.
        """
        self._worker.start()
        while not self._stopping.wait(self._restart_delay):
            self._worker = self.create_worker()
            self._worker.start()

    def create_worker(self) -> WorkController:
        return self.worker_class(
            app=self._app,
            pool="threads",
            concurrency=self._concurrency,
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=True,
        )

    def _beat(self) -> None:
        while not self._stopping.wait(self._tick()):
            pass
        self._scheduler.close()

    def _tick(self) -> float:
        """Send what is due; return the seconds until something may be due again."""
        try:
            return min(max(self._scheduler.tick(), MIN_SLEEP_SECONDS), MAX_SLEEP_SECONDS)
        except (OperationalError, OSError) as error:
            logger.warning("The task broker cannot be reached: %s", error)
            return MAX_SLEEP_SECONDS
