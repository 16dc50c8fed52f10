"""The Store port on one SQLite file: for one host, and for as many processes on it as share the file."""
