"""SSML: repaired as it streams, parsed strictly where a user wrote it, and turned into a speech plan."""
