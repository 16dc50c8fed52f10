"""Threads that decode the same structure for the first time, all at once, in a process of their own: it must survive that."""

import subprocess
import sys

from drivers.decoding import make_ready

PROGRAM = """
import sys, threading
import msgspec
from drivers.decoding import make_ready

sys.setswitchinterval(1e-7)
READY = {ready}  # else it dies of SIGSEGV within the first few


def family(number):
    \"\"\"Structures that contain each other, unknown to msgspec until they are decoded.\"\"\"
    made = None
    for depth in range(12):
        fields = [("x", int, 0), ("y", dict[str, tuple[int, ...]] | None, None)]
        if made is not None:
            fields.append(("z", made | None, None))
        made = msgspec.defstruct(f"Made{{number}}x{{depth}}", fields)
    return made


for number in range(150):
    struct = family(number)
    if READY:
        make_ready()
    gate = threading.Barrier(6)

    def decode():
        gate.wait()
        msgspec.json.decode(b'{{"x":1,"z":{{"x":2,"y":{{"a":[1,2]}},"z":null}}}}', type=struct)

    threads = [threading.Thread(target=decode) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
print("survived")
"""


def test_threads_that_decode_the_same_structure_at_once_survive():
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(ready=True)], capture_output=True, text=True, timeout=100, check=False
    )
    assert (run.returncode, run.stdout) == (0, "survived\n"), run.stderr


def test_what_is_ready_is_not_made_ready_again():
    make_ready()
    assert make_ready() == 0
