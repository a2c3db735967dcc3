"""Cassettes: what the real API answered, kept in plain files of vcrpy.

`files` reads and writes them, `secrets` takes out what must not get in, `player` answers from one, and
`recorder` makes one.
"""
