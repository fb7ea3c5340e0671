"""SQLite: its catalog, which is the text of the statements that created its objects, and its statements."""
