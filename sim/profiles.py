"""The profiles of high availability that a scenario may name: those of the product, and a short one."""

from __future__ import annotations

from ave.ha.timing import PROFILES as SHIPPED
from ave.ha.timing import Timing

SHORT = Timing(
    name="short", give_up=16.0, verdict=34.0
)  # as short as is still safe: for stories that are played for real
SHORT.require_safe()

PROFILES = {**SHIPPED, SHORT.name: SHORT}
