"""Errors raised while fetching a URL. No message reveals what a name resolved to.

FetchError             nothing was fetched
├── InvalidUrl         the text is not an http(s) URL, or is written in a way that parsers disagree on
├── UrlNotAllowed      its scheme, port or host is one that is never fetched from
├── FetchFailed        the server is unreachable, disconnects, or does not answer with a file
├── FetchTimedOut      the server is too slow
└── FetchTooLarge      the file exceeds the limit (also a `MediaTooLarge`)
"""

from media.processing.exceptions import MediaError, MediaTooLarge


class FetchError(MediaError):
    code = "fetch_failed"


class InvalidUrl(FetchError):
    code = "invalid_url"


class UrlNotAllowed(FetchError):
    code = "url_not_allowed"


class FetchFailed(FetchError):
    pass


class FetchTimedOut(FetchError):
    code = "fetch_timeout"


class FetchTooLarge(FetchError, MediaTooLarge):
    code = "media_too_large"
