"""Run the project's env.py: its visits to databases, and the workarounds for styles that need one."""
