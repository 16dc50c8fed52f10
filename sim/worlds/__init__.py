"""One scenario file in two worlds: what the store of each shows, and whether it is the same. See docs/both-worlds.md."""
