"""The budget of high availability: what downtime a failure costs a VM, and how often a healthy host is fenced."""
