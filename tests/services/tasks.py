"""What the tests' workers have in addition to the product's tasks."""

import os
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from celery import shared_task
from celery.signals import worker_ready

from media.renditions import due_renditions

due_renditions.LEASE = timedelta(seconds=5)
due_renditions.RENEW_SECONDS = 1.0
due_renditions.BACK_OFF_SECONDS = int(os.environ.get("CHATAPI_TEST_BACK_OFF", "0"))
due_renditions.OVERDUE_GRACE = timedelta(seconds=1)


@worker_ready.connect
def say_ready(**_: Any) -> None:
    Path(os.environ["CHATAPI_TEST_READY"]).touch()


@shared_task
def note(file: str, word: str, seconds: float = 0) -> None:
    """Write the word, and after so many seconds that it is done."""
    with Path(file).open("a") as notes:
        notes.write(f"{word}\n")
    time.sleep(seconds)
    with Path(file).open("a") as notes:
        notes.write(f"{word} done\n")
