"""Models of everything the control plane touches, written on the Runtime port. Only ``runtime`` knows SimPy."""
