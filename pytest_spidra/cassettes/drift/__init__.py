"""Recordings beside the fake: whether it is true, and the script that makes it behave as recorded."""
