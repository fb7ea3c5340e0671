"""The scratch worker: run the project's chain on scratch databases."""
