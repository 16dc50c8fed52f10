"""Each module or folder implements ports with one real thing, or with a model of it."""
