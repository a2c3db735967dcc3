"""HTTP on a port of this machine."""
