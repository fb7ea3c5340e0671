"""The live worker: env.py on the project's own databases, to look, read and stamp."""
