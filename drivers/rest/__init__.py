"""HTTP before the desk: bytes become requests of the catalogue, and answers bytes. Nothing here knows an operation by name."""
