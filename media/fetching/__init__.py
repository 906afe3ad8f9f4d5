"""The one client of ours that opens addresses which users name.

fetcher    asks, follows redirects, writes the body into a file, all under limits
urls       the only parser: what it reads is what is checked and what is connected to
network    which addresses may be connected to, and a connector that holds to them
problems   what goes wrong, in words for the client
"""

from media.fetching.fetcher import Fetched, Fetcher, FetchLimits
from media.fetching.problems import (
    FetchFailed,
    FetchProblem,
    FetchTimedOut,
    FetchTooLarge,
    InvalidUrl,
    UrlNotAllowed,
)

__all__ = [
    "FetchFailed",
    "FetchLimits",
    "FetchProblem",
    "FetchTimedOut",
    "FetchTooLarge",
    "Fetched",
    "Fetcher",
    "InvalidUrl",
    "UrlNotAllowed",
]
