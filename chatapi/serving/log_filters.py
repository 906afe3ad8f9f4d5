"""What is no news in the log."""

import logging


def is_news(record: logging.LogRecord) -> bool:
    """Not a 503: /healthz says why, and whoever asks it again and again would fill the log."""
    return getattr(record, "status_code", None) != 503
