"""Footprints held against the catalog: verdicts, causes, and the SQL that would mend.  Pure."""
