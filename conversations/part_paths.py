"""How errors name the parts of a request that are files."""

from core.value import Value
from engines.messages import AudioPart, FilePart, ImagePart, Part


class PartPaths(Value, frozen=True):
    """The paths of one kind of request: `content` is that of a message's, by its position in `list`."""

    list: str = "messages"
    content: str = "messages[{}].content"
    image: str = ".image_url"
    sound: str = ".input_audio"
    file: str = ".file"

    def path(self, position: int, part_index: int, part: Part) -> str:
        return f"{self.content.format(position)}[{part_index}]{self._key(part)}"

    def _key(self, part: Part) -> str:
        stands_for = part.stands_for if isinstance(part, FilePart) else None
        if isinstance(part, ImagePart) or stands_for == "image_url":
            return self.image
        return self.sound if isinstance(part, AudioPart) or stands_for else self.file


CHAT_PATHS = PartPaths()
ITEM_PATHS = PartPaths(list="items", content="items[{}].content", image="", file="")
EDIT_PATHS = PartPaths(list="content", content="content", image="", file="")
