"""What goes wrong when an address is fetched. No message tells what an address resolved to.

FetchProblem           nothing was fetched
├── InvalidUrl         the text is no http(s) URL, or is written in a way that parsers disagree on
├── UrlNotAllowed      its scheme, port or host is one that is never fetched from
├── FetchFailed        the server is not there, breaks off, or answers with something else than a file
├── FetchTimedOut      it is too slow
└── FetchTooLarge      the file is beyond the limit (also a `TooLarge`)
"""

from media.problems import MediaProblem, TooLarge


class FetchProblem(MediaProblem):
    code = "fetch_failed"


class InvalidUrl(FetchProblem):
    code = "invalid_url"


class UrlNotAllowed(FetchProblem):
    code = "url_not_allowed"


class FetchFailed(FetchProblem):
    pass


class FetchTimedOut(FetchProblem):
    code = "fetch_timeout"


class FetchTooLarge(FetchProblem, TooLarge):
    code = "media_too_large"
