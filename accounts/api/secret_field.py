"""The field for what an answer shows once: a key, a token, a link."""

from typing import Any

from rest_framework import serializers


class SecretField(serializers.CharField):
    """What is stored only as a digest; the context holds it as `secret`."""

    def __init__(self, help_text: str) -> None:
        super().__init__(read_only=True, help_text=help_text)

    def get_attribute(self, instance: Any) -> str:
        return str(self.context["secret"])
