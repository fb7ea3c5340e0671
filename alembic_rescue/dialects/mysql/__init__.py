"""MySQL and MariaDB: their catalogs, as shown by SHOW CREATE, and their statements."""
