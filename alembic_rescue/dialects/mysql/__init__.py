"""MySQL and MariaDB: their catalogs, as SHOW CREATE tells them, and what their statements do."""
