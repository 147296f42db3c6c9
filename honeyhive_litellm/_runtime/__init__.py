"""Put the parts together on the process's one thread, and end them in a bounded time.

`pipeline` assembles, `runtime` runs, `lifecycle` starts and ends with the process.
"""
