"""The simulator: real nodes on simulated drivers, scenarios that happen to them, and an oracle that judges the world."""
