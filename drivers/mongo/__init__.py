"""The Store port on a MongoDB replica set, 6.0 or later. Needs the extra: ``pip install ave[mongo]``."""
