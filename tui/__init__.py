"""The terminal dashboard: a client of the API like any other, on a live, a simulated or a recorded cluster."""
