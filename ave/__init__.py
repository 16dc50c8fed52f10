"""AVE's control plane. It awaits only ports: nothing here knows which world it runs in."""

__version__ = "0.1.0"
