"""Uploaded and generated files: a row each, the bytes in the storage."""

from django.db import models
from django.utils import timezone

from chatapi.accounts.models import Workspace
from chatapi.identifiers import new_id


class Asset(models.Model):
    """A file of a workspace, addressed by its content."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="assets")
    sha256 = models.CharField(max_length=64, editable=False)
    media_type = models.CharField(max_length=100)
    size = models.PositiveBigIntegerField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["workspace", "sha256"], name="one_asset_a_content"),
        ]

    def __str__(self) -> str:
        return f"{self.media_type} {self.sha256[:12]}"
