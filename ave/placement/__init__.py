"""Where a VM may run, and where it runs best: pure decisions on a columnar view of the cluster."""
