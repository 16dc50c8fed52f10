"""Real faults on the real bed, one after the other, while every guest writes. See docs/real-faults.md."""
