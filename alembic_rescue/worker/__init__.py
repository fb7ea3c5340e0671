"""The worker processes that run a project's code, and the caller's side of them."""
