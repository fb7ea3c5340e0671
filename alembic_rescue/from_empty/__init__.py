"""``rehearse --from-empty``: run the project's chain on empty databases, for CI.  Read :mod:`.verb` first."""
