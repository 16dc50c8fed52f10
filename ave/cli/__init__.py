"""``ave …``: the one place of the control plane that meets a terminal. Nobody imports it."""
