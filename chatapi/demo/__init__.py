"""A realistic history for `manage.py seed_demo`: as the service itself would have stored it, but quickly."""
