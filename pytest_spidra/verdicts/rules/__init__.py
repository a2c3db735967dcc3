"""The rules that judge every test, and what they read from the log."""
