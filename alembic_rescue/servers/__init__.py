"""Private database servers: their programs, the process that runs them, and leftovers of killed runs."""
