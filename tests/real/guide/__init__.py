"""docs/operators-guide.md, done by the letter on a bed: every command of it, in its order. See test_guide.py."""
