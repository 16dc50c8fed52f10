"""Scenario files: read with every mistake named at once, or not at all."""
