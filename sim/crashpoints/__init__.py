"""Crash points: a worker is lost at every await of every type of Job, one run for each, and everything must end well.

Nothing here is sampled but where it says so. A run without a fault tells where the coroutines that work for a Job stand still;
the same seed leads to the same place again, and there the process, or its host, is struck.
"""
