"""Take batches from the spool and give them to a sink; decide when to try again and which event is to blame.

Nothing here, outside `sinks`, knows HTTP or HoneyHive.
"""
