"""Background work on the history. Thin: each task calls one verb, and may run twice or die anywhere."""

from celery import shared_task

from conversations import processes


@shared_task
def settle_interrupted() -> None:
    processes.settle_interrupted()
