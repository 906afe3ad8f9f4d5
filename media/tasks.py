"""Background tasks for files.

Each may run twice or die anywhere. They recur by themselves, so a lost message does no harm.
"""

from celery import shared_task

from media import cleanup

SWEEPING_SECONDS = 1500


@shared_task(acks_late=False, soft_time_limit=SWEEPING_SECONDS, time_limit=SWEEPING_SECONDS + 60)
def free_media() -> None:
    cleanup.delete_unused()


@shared_task(acks_late=False, soft_time_limit=SWEEPING_SECONDS, time_limit=SWEEPING_SECONDS + 60)
def remove_strays() -> None:
    cleanup.remove_strays()
