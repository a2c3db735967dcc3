"""What travels between client and API: requests, replies, the table of endpoints, and the log of exchanges."""
