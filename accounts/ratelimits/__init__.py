"""Limits of a workspace and of a key: requests and tokens per minute, and concurrent streams."""
