"""Background work on files. Each task may run twice or die anywhere; it comes again by itself, so that a lost
message is no loss."""

from celery import shared_task

from media import cleanup

SWEEPING_SECONDS = 1500


@shared_task(acks_late=False, soft_time_limit=SWEEPING_SECONDS, time_limit=SWEEPING_SECONDS + 60)
def free_media() -> None:
    cleanup.free()


@shared_task(acks_late=False, soft_time_limit=SWEEPING_SECONDS, time_limit=SWEEPING_SECONDS + 60)
def remove_strays() -> None:
    cleanup.remove_strays()
