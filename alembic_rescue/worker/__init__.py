"""The processes in which a project's code runs, and the caller's side of them."""
