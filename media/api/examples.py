"""Examples in the API's document: a picture of Oslo's harbour, and what was made of it."""

from core.http.examples import END_USER, FILE_ID, NOON, deleted, sent, shown

_TOKEN = "3f1c9a.thumbnail.019b796dd600.6956a4c4:Qm2x5KpT7vXcZr4nLwB9sYdF1hGeUa"  # noqa: S105 (of no file)
SHOWN_FILE = shown(
    "A picture",
    {
        "id": FILE_ID,
        "object": "file",
        "bytes": 482_113,
        "created_at": NOON - 60,
        "expires_at": None,
        "filename": "oslo.jpg",
        "purpose": "user_data",
        "user": END_USER,
        "visibility": "private",
        "status": "processed",
        "media_type": "image/jpeg",
        "width": 1600,
        "height": 1200,
        "seconds": None,
        "url": f"/media/{_TOKEN.replace('thumbnail', '')}",
    },
)
UPLOAD = sent("For an end user", {"purpose": "user_data", "user": END_USER}, "multipart/form-data")
FILE_CHANGES = sent("For all members", {"visibility": "workspace"})
FILE_DELETED = deleted(FILE_ID, "file")
SHOWN_RENDITION = shown(
    "A thumbnail",
    {
        "object": "rendition",
        "kind": "thumbnail",
        "state": "ready",
        "error": None,
        "media_type": "image/webp",
        "bytes": 9_214,
        "url": f"/media/{_TOKEN}",
        "content": None,
    },
)
