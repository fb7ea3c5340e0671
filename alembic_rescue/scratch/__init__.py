"""The scratch database: where it is, how the chain runs on it, and what is kept of that."""
