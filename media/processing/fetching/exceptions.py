"""What goes wrong when an address is fetched. No message tells what an address resolved to.

FetchProblem           nothing was fetched
├── InvalidUrl         the text is no http(s) URL, or is written in a way that parsers disagree on
├── UrlNotAllowed      its scheme, port or host is one that is never fetched from
├── FetchFailed        the server is not there, breaks off, or answers with something else than a file
├── FetchTimedOut      it is too slow
└── FetchTooLarge      the file is beyond the limit (also a `MediaTooLarge`)
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
