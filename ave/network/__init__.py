"""Virtual networks: declared, edited and deleted, and never deleted under a VM."""
