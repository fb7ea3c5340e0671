"""Connections and sessions: addresses, timeouts, locks, drivers, and what their errors mean."""
