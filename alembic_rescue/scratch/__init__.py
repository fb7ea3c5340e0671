"""The scratch database: where it is, how the chain runs on it, and which results are cached."""
