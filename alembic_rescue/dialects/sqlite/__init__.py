"""SQLite: its catalog, which is the text of the statements that made its objects, and what its statements do."""
