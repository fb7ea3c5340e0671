  CREATE TABLE IF NOT EXISTS @TABLE@ (
    version_num varchar(32) NOT NULL, CONSTRAINT @KEY@ PRIMARY KEY (version_num)
  );
