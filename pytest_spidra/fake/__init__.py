"""The fake service: how Spidra's batches behave, as a pure state machine.

Values in, values out: no HTTP library, no pytest, no I/O, no clock. The time comes in as an argument, in
integer microseconds since the Unix epoch.

=================  ==========================================================================
`endpoints`        the table of endpoints: name, method, path
`service`          the front desk: who may ask, which endpoint answers
`validation`      what a submit may say
`batch`            one batch and its items: the state machine
`outcomes`         how attempts at a URL and whole batches end
`account`          the customer's settings, credits ledger and rate limit
`error_replies`         every error body the API is known to send
`serializers`        a batch as the JSON of the documentation
=================  ==========================================================================
"""
