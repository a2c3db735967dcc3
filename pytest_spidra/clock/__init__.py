"""Virtual time: waits that are exact and cost no real time."""
