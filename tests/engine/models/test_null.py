import numpy as np

from engine.models.null import Null
from presets.schema import Preset
from render.upscaler import CELL_FRAMES, Step, Window


def test_returns_its_input_unshared_and_reports_each_window() -> None:
    samples = np.random.default_rng(0).standard_normal((2, 2 * CELL_FRAMES)).astype(np.float32)
    windows = [Window(samples, 0, 4000.0, 0), Window(samples, CELL_FRAMES, 4000.0, 0)]
    seen: list[Step] = []
    model = Null()
    generated = model.upscale(windows, lambda *_: np.zeros((1, 1), np.float32), Preset(), seen.append)
    assert all(np.array_equal(out, samples) for out in generated)
    assert not any(np.shares_memory(out, samples) for out in generated)
    assert len(seen) == len(windows) * model.steps(Preset())
