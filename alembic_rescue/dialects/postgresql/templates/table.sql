  CREATE TABLE IF NOT EXISTS @TABLE@ (
    version_num varchar(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
  );
