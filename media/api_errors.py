"""Errors of files and their processing, as errors of the API."""

from core.exceptions import ApiError, BadRequest, ServiceUnavailable
from media.processing.exceptions import MediaError, MediaTooLarge
from media.processing.sandbox.exceptions import SandboxBusy, SandboxError


def media_api_error(problem: MediaError, param: str = "file") -> ApiError:
    """Return a problem with a file as the error for whoever sent the file."""
    status = 413 if isinstance(problem, MediaTooLarge) and param == "file" else 400
    return BadRequest(problem.message, param=param, code=problem.code, status=status)


def sandbox_api_error(error: SandboxError) -> ApiError:
    if isinstance(error, SandboxBusy):
        return ServiceUnavailable(error.message, code="busy", retry_after=5)
    # a retry would cost the same work and end the same way
    return ApiError(error.message, code="processing_failed", headers={"x-should-retry": "false"})
