"""The live worker: run env.py on the project's own databases, to look, read and stamp."""
