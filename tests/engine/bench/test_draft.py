from __future__ import annotations

from pathlib import Path

import pytest

from engine.bench import draft


def cells(lines: list[str]) -> dict[str, list[str]]:
    return {
        row[0]: row[1:] for row in ([cell.strip() for cell in line.split("|")[1:-1]] for line in lines[2:])
    }


def test_every_stage_of_a_render_takes_time_and_all_of_them_are_all(tmp_path: Path) -> None:
    short, source = tmp_path / "short.wav", tmp_path / "source.wav"
    draft.write(short, 1.0)
    draft.write(source, 1.0)
    rows = cells(draft.by_stage(short, source, 1.0, 0.5))
    assert set(draft.STAGES) | {"all else", "all"} == set(rows)
    cpu_s = {stage: float(row[0]) for stage, row in rows.items()}
    assert cpu_s.pop("all") == pytest.approx(sum(cpu_s.values()), abs=0.01 * len(cpu_s))
    assert cpu_s["model: network"] > 0
    assert float(rows["all"][2]) == pytest.approx(1000 * float(rows["all"][0]) / 2, rel=0.05)


def test_soxr_makes_the_whole_file_at_its_rate(tmp_path: Path) -> None:
    import soundfile

    source = tmp_path / "source.wav"
    draft.write(source, 4.5)
    draft.resample(source)
    about = soundfile.info(source.with_suffix(".soxr.wav"))
    assert (about.samplerate, about.frames) == (44100, round(4.5 * 44100))


@pytest.mark.slow
def test_the_command_sets_each_process_beside_soxr(capsys: pytest.CaptureFixture[str]) -> None:
    assert draft.main(["--seconds", "2"]) == 0
    rows = cells([line for line in capsys.readouterr().out.splitlines() if line.startswith("|")])
    assert {"client", "engine", "worker"} <= set(rows)
    assert float(rows["worker"][0]) > 0
    assert float(rows["worker"][1]) > 1, "a model does more than a resampler"
