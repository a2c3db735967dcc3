"""Cassettes: what the real API answered, kept in plain files of vcrpy, played and recorded."""
