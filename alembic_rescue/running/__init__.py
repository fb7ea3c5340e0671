"""One run of the project's env.py, and what is done for the styles that need help."""
