"""The wiring of one test, whatever answers it, and its end."""
