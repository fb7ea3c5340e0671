"""The command line: its entry point, its commands, and a single call.  Nothing outside this package uses typer."""
