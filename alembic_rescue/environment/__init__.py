"""Running the project's env.py: its visits to databases, and what is done for the styles that need help."""
