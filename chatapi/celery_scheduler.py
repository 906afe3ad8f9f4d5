"""The scheduler of `celery beat`."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from celery.beat import PersistentScheduler

from core.file_lock import locked


class Scheduler(PersistentScheduler):
    """Celery's own, which keeps its file in the data folder of a service that is there, closed to others.

    Several may keep it in one folder: a file that another is just writing looks corrupted to Celery.
    """

    schedule_filename: str
    _is_alone = False

    def __init__(self, *args: Any, **options: Any) -> None:
        """Check the files first: Celery makes one for its banner, before standard error goes to the log.

        The signal `beat_init` is later, when the schedule's file is there.
        """
        from chatapi.serving.preflight import check_or_exit  # Django is set up by now

        check_or_exit()
        super().__init__(*args, **options)

    def setup_schedule(self) -> None:
        with self._alone():
            super().setup_schedule()

    def sync(self) -> None:
        with self._alone():
            super().sync()

    def close(self) -> None:
        with self._alone():
            super().close()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Let one process at a time touch the file."""
        if self._is_alone:
            yield
            return
        with locked(Path(f"{self.schedule_filename}.lock")):
            self._is_alone = True
            try:
                yield
            finally:
                self._is_alone = False
