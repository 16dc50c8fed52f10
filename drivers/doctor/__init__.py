"""Checks of what a host needs: one module per family, one row per check, nothing changed by any of them."""
