"""The command line: where it starts, its commands, and one call of one.  Nothing else knows typer."""
