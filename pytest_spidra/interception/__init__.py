"""Between client and upstream: ask the script, forward, log."""
