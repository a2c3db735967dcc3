"""What is said about a client: assertions, and the messages of what the rules find."""
