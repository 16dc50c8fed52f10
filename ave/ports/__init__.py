"""What the control plane asks of the outside, in its own words."""
