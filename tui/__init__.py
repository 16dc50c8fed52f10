"""The dashboard: one client of the API, whatever stands behind it (docs/dashboard.md)."""
