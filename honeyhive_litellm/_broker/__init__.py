"""What the application and the relay agree on: names, messages and connections of a NATS broker.

Only this folder and `_delivery/sinks/` import the NATS client. Nothing here decides when an event
is sent, or sent again.
"""
