"""Scenario files: read with every mistake named at once, or not at all."""

from __future__ import annotations

from sim.scenario.load import load, loads
from sim.scenario.model import Scenario
from sim.scenario.problem import Invalid, Problem

__all__ = ["Invalid", "Problem", "Scenario", "load", "loads"]
