"""Observe what a step of the chain did, which statements it sent, and which lines it skipped."""
