"""When Python looks for cycles in a node: never through the documents that it began with.

They are hundreds of thousands of objects, and none of them is in a cycle. A look through them all takes 20 ms with a thousand
VMs, and meanwhile nobody is answered and no lease is renewed.
"""

from __future__ import annotations

import gc

from ave.api.view import View
from ave.errors import Unavailable


async def settle(view: View) -> None:
    """Once the view knows the cluster, what there is is looked through no more. It still goes when nobody refers to it."""
    while True:
        try:
            await view.reach(0)
        except Unavailable:
            continue  # it waits for seconds, and says then that the store is not there yet
        gc.freeze()
        return
