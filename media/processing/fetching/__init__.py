"""The one client of ours that opens addresses which users name.

fetcher    asks, follows redirects, writes the body into a file, all under limits
urls       the only parser: what it reads is what is checked and what is connected to
network    which addresses may be connected to, and a connector that holds to them
problems   what goes wrong, in words for the client
"""

from media.processing.fetching.exceptions import (
    FetchError,
    FetchFailed,
    FetchTimedOut,
    FetchTooLarge,
    InvalidUrl,
    UrlNotAllowed,
)
from media.processing.fetching.fetcher import Fetched, Fetcher, FetchLimits

__all__ = [
    "FetchError",
    "FetchFailed",
    "FetchLimits",
    "FetchTimedOut",
    "FetchTooLarge",
    "Fetched",
    "Fetcher",
    "InvalidUrl",
    "UrlNotAllowed",
]
