"""Redeploying: platforms and hooks, what is reported of a deployment while it runs, and how it ended."""
