from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

ROUNDS = """
    import resource
    import numpy as np
    from engine.worker.allocator import keep_freed_memory

    def faults():
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

    def use():
        return sum(float(block[-1]) for block in [np.ones(1 << 19, np.float64) for _ in range(12)])

    {keep}
    use()
    before = faults()
    for _ in range(5):
        use()
    print(faults() - before)
"""


def page_faults(keep: str) -> int:
    """How many pages five rounds of 12 arrays of 4 MB have cleared, after a first round."""
    code = textwrap.dedent(ROUNDS.format(keep=keep))
    return int(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the allocator is glibc's")
def test_memory_of_one_window_is_used_by_the_next() -> None:
    kept = page_faults("keep_freed_memory()")
    assert kept < 500
    assert page_faults("") > 4 * max(kept, 1)
