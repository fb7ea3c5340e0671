"""Deploying again: platforms and hooks, what is told of a deployment while it runs, and what it came to."""
