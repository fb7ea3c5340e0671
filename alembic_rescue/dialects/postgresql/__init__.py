"""PostgreSQL: its catalogs, its statements and its sessions."""
