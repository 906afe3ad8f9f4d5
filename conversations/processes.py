"""Which server processes live, and what a dead one left in progress."""

import logging
import os
import socket
from datetime import timedelta
from uuid import UUID

from django.db.models import Q
from django.utils import timezone

from conversations.models import Completion, ServerProcess

logger = logging.getLogger(__name__)

SILENCE = timedelta(seconds=60)


def say_alive(process_id: UUID) -> None:
    """To be called every few seconds by each process that makes completions."""
    ServerProcess.objects.update_or_create(
        id=process_id,
        defaults={"seen_at": timezone.now()},
        create_defaults={"host": socket.gethostname(), "pid": os.getpid()},
    )


def say_farewell(process_id: UUID) -> None:
    ServerProcess.objects.filter(id=process_id).delete()


def settle_interrupted() -> int:
    """Mark what dead processes left in progress; gives how many. May run twice, or anywhere.

    A process is dead when it has been silent for a minute, or at once where this very machine can
    tell that it is gone.
    """
    living = [process.id for process in ServerProcess.objects.all() if _lives(process)]
    ServerProcess.objects.exclude(id__in=living).delete()
    abandoned = Completion.objects.filter(state=Completion.State.IN_PROGRESS).filter(
        Q(process=None) | ~Q(process__in=living)
    )
    settled = abandoned.update(
        state=Completion.State.INTERRUPTED,
        ended_at=timezone.now(),
        usage_estimated=True,
        idempotency_key=None,  # a repeat is meant to succeed
    )
    if settled:
        logger.warning("%d completions of a process that died are marked interrupted", settled)
    return settled


def _lives(process: ServerProcess) -> bool:
    if process.seen_at < timezone.now() - SILENCE:
        return False
    return process.host != socket.gethostname() or _is_running(process.pid)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
