"""The test's time: the real clock, and the virtual one whose waits are exact and cost no real time."""
