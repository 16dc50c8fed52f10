"""Hosts as what an operator looks after: maintenance, and what they are made of."""
