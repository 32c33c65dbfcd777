from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

ROUNDS = """
    import resource
    from threading import Event, Thread
    import numpy as np
    from engine.worker.allocator import keep_freed_memory

    def faults():
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

    def use():
        return sum(float(block[-1]) for block in [np.ones(1 << 19, np.float64) for _ in range(12)])

    def in_five_threads():
        turns = [Event() for _ in range(6)]

        def work(place):
            turns[place].wait()
            use()
            turns[place + 1].set()
            turns[5].wait()  # all live to the end, so that none reuses another's memory

        threads = [Thread(target=work, args=(place,)) for place in range(5)]
        for thread in threads:
            thread.start()
        turns[0].set()
        for thread in threads:
            thread.join()

    def in_turn():
        for _ in range(5):
            use()

    {keep}
    use()
    before = faults()
    {rounds}()
    print(faults() - before)
"""


def page_faults(keep: str, rounds: str = "in_turn") -> int:
    """How many page faults five rounds of 12 arrays of 4 MB cause, after a first round."""
    code = textwrap.dedent(ROUNDS.format(keep=keep, rounds=rounds))
    return int(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the allocator is glibc's")
def test_memory_of_one_window_is_used_by_the_next() -> None:
    kept = page_faults("keep_freed_memory()")
    assert kept < 500
    assert page_faults("") > 4 * max(kept, 1)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the allocator is glibc's")
def test_memory_that_one_thread_has_freed_is_used_by_the_next() -> None:
    kept = page_faults("keep_freed_memory()", "in_five_threads")
    assert kept < 1000
    assert page_faults("", "in_five_threads") > 4 * kept
