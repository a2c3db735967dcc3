"""One file for each HTTP library, and the network guard that stops what none of them takes.

A client's file brings the library's requests to a `RequestHandler`, and what the client is to see back to it, in the
library's own responses and exceptions.
"""
