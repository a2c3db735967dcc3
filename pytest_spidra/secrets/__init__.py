"""Secrets: keeps what opens a door out of files, and finds it there."""
