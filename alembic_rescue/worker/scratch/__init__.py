"""The scratch worker: the project's chain, on scratch databases."""
