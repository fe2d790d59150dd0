-- The producer's database is there already (POSTGRES_DB); each participant has one of its own.
create database inventory;
create database accounts;
create database profiles;
