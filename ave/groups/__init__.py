"""Placement groups: laid down, changed and deleted by the Active scheduler, and repaired by migrations."""
