from __future__ import annotations

import subprocess
import sys

import pytest

TOUCH = """
import mmap, resource, sys
import torch
from engine.allocator import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
torch.set_num_threads(1)
for _ in range(30):
    torch.ones(16_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    torch.ones(16_000_000)
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) * mmap.PAGESIZE / 10 / 64e6)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_large_blocks_are_not_mapped_anew() -> None:
    """Pages faulted in for a block of 64 MB, as a share of the block."""

    def faulted(how: str) -> float:
        done = subprocess.run(
            [sys.executable, "-c", TOUCH, how], capture_output=True, text=True, timeout=100, check=True
        )
        return float(done.stdout)

    assert faulted("keep") < 0.05
