"""Exploration: scenarios drawn by seed, played one after the other, until an invariant breaks or patience ends.

A drawn scenario is an ordinary file: what a campaign finds is replayed by ``ave sim run`` and cut down by ``ave sim shrink``.
"""
