"""Volumes by themselves: made, grown and deleted. What a VM does with its own is in ``ave.vms``."""
