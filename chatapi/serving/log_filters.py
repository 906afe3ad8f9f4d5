"""Filters that keep noise out of the log."""

import logging


def is_worth_logging(record: logging.LogRecord) -> bool:
    """Drop 503s: /healthz says why, and clients that keep asking it would fill the log."""
    return getattr(record, "status_code", None) != 503
