from __future__ import annotations

import pytest

from engine.bench import start


def test_a_row_sets_the_least_of_its_turns_beside_an_interpreter_and_pytorch() -> None:
    costs = {name: [(1.0, 0.5), (2.0, 0.6)] for name in start.PROGRAMS}
    costs[start.TORCH] = [(4.0, 3.0), (5.0, 3.0)]
    costs[start.WARM] = [(3.0, 0.9), (2.0, 1.5), (7.0, 0.8)]
    row = start.table(costs)[-1]
    assert row == f"| {start.WARM} | 2.00 | 3.00 | 0.80 | 2.0 | 0.50 |"


def test_an_interpreters_processor_time_is_its_own() -> None:
    busy = "import time\nwhile time.process_time() < 0.3: pass"
    wall_s, cpu_s = start.cost(["-c", busy])
    assert 0.28 < cpu_s < wall_s + 0.05


@pytest.mark.slow
def test_the_command_starts_and_ends_engines(capsys: pytest.CaptureFixture[str]) -> None:
    assert start.main(["--turns", "1"]) == 0
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    least_s = {row[0].removeprefix("| "): float(row[1]) for row in rows[1:]}
    assert least_s[start.WARM] < least_s[start.COLD]
