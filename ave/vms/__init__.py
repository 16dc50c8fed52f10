"""One user verb per file. Each brings its Splitter and the functions of its tasks; ``VERBS`` is the table."""
