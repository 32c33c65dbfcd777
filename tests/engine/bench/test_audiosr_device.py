from __future__ import annotations

import pytest
import torch

from engine.bench import audiosr, audiosr_device
from engine.models.audiosr.networks import Networks
from presets.errors import UsageError


@pytest.mark.slow
def test_the_table_has_a_line_for_each_way_and_tells_it_at_once(
    small_networks: Networks, capsys: pytest.CaptureFixture[str]
) -> None:
    found = audiosr_device.table(
        "cpu",
        small_networks.configuration,
        1.92,
        rows=(2,),
        samplers=(("dpmpp_2m", 1),),
        precisions=[torch.float32],
    )
    lines = found["renders"]
    assert [(line["rows"], line["vocoder"]) for line in lines] == [
        (2, "hifigan"),
        (2, "phase"),
    ]
    assert all(line["wall_s"] > 0 and line["error_db"] == 0 for line in lines)
    assert capsys.readouterr().err.count("Rendered(") == len(lines)
    for line in lines:  # of 1.92 s, 0.64 s are new
        assert line["times_real_time"] == pytest.approx(
            line["rows"] * 0.64 / line["wall_s"], rel=0.1, abs=0.06
        )
    assert all(ms > 0 for ms in found["stages_ms"]["float32"][2].values())


@pytest.mark.slow
def test_16_bits_come_near_to_float32(small_networks: Networks) -> None:
    found = audiosr_device.table(
        "cpu",
        small_networks.configuration,
        1.92,
        rows=(1,),
        samplers=(("dpmpp_2m", 2),),
        precisions=[torch.float32, torch.bfloat16],
    )
    rounded = [line for line in found["renders"] if line["precision"] == "bfloat16"]
    by_phase = next(line for line in rounded if line["vocoder"] == "phase")
    assert 0 < by_phase["error_db"] < 1


def test_rows_of_a_batch_differ_so_that_none_is_computed_once_for_two() -> None:
    one, two = audiosr_device.windows_of(2, 1.92)
    assert one.samples.tobytes() != two.samples.tobytes()
    assert one.start != two.start


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_device_that_is_not_there_is_named() -> None:
    with pytest.raises(UsageError, match="cuda:0"):
        audiosr.main(["--device", "cuda"])
