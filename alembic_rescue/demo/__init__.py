"""The reference incident, played on a private embedded PostgreSQL."""
