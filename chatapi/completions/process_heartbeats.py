"""Which server processes are alive, and where each keeps its journal."""

import os
import socket
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from conversations.models import ServerProcess

HEARTBEAT_TIMEOUT = timedelta(seconds=60)
_own_ids: set[UUID] = set()
"""The ids that belong to this very process: it is alive, however long it was held up."""


def record_heartbeat(process_id: UUID) -> None:
    """Record that a process is alive. Each process that makes completions calls this every few seconds."""
    _own_ids.add(process_id)
    ServerProcess.objects.update_or_create(
        id=process_id,
        defaults={"seen_at": timezone.now()},
        create_defaults={"host": socket.gethostname(), "pid": os.getpid()},
    )


def remove_process(process_id: UUID) -> None:
    _own_ids.discard(process_id)
    ServerProcess.objects.filter(id=process_id).delete()


def journal_path(process_id: UUID) -> Path:
    """Return where a process records how far its answers have come."""
    return Path(settings.DATA_DIR) / "journals" / process_id.hex


def is_alive(process: ServerProcess) -> bool:
    if process.id in _own_ids:
        return True
    if process.seen_at < timezone.now() - HEARTBEAT_TIMEOUT:
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
