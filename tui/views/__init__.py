"""What can be looked at: one module for each view, each a list of rows and what stands beside one."""
