"""What a test scripts: steps, ready-made errors, and the scripts that use them up."""
