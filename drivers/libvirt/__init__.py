"""Real VMs: QEMU by way of libvirt. Only ``link.py``, ``faults.py`` and what calls a domain know the library."""
