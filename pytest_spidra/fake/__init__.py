"""The fake service: how Spidra's batches and other jobs behave, as a pure state machine.

Values in, values out: no HTTP library, no pytest, no I/O, no clock. The time comes in as an argument, in
integer microseconds since the Unix epoch.

==================  =========================================================================
`service`           the front desk: who may ask, which endpoint answers
`batch`, `item`     one batch and its items: the state machine of every job
`batches`           the endpoints of batches
`job`, `jobs`       every other job: what is particular to its kind, how it is submitted and found
`kinds`             the kinds: `scrapes`, `searches`, `crawls`, `parses`
`maps`, `records`   what queues nothing: maps; logs, usage, account
`files`             signed URLs; `documents` and `uploads` what lies behind those of documents
`outcomes`          how attempts and whole batches end
`account`           the customer's settings; `credits` the ledger, `quota` the rate limit
`validation`        what a submit may say
`serializers`       a batch as the JSON of the documentation
==================  =========================================================================
"""
