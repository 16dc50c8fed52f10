"""Frozen values and their states: what the cluster is made of, free of time, chance and I/O."""
