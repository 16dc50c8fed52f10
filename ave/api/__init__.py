"""What people and tools may ask of a cluster, told apart from how the words come in: see docs/api.md."""
