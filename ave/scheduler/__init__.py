"""The VM Scheduler: exactly one Active instance, on the storage meta leader's host, decides where VMs go."""
