from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import save_file

from engine.bench import parity
from engine.models.audiosr.networks import Configuration, Networks

GOLDEN = Path(__file__).parents[4] / "shared" / "audiosr" / "golden_a"


def replay(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "engine", "parity", str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(command, capture_output=True, text=True, timeout=200, env=environment, check=False)


@pytest.mark.skipif(not GOLDEN.is_dir(), reason="the official code's results are not beside this checkout")
def test_the_official_results_are_reproduced() -> None:
    done = replay(GOLDEN)
    assert done.returncode == 0, done.stdout + done.stderr
    names = {line.split()[0] for line in done.stdout.splitlines()}
    wanted = {
        "lowpass_mel",
        "vae_moments",
        "unet_v_t501",
        "ddim_eta1_latent",
        "vae_decoded_mel",
        "vocoder_wave",
    }
    assert wanted | {"rng42_heads", "e2e_seed42_steps5_every8"} <= names


@pytest.fixture
def other_folder(tmp_path: Path) -> Path:
    """A folder of the goldens' layout, other in every width and count of levels; results by the networks."""
    config = {
        "frames": 64,
        "guidance_scale": 2.0,
        "uncond_value": -11.4981,
        "unet": {
            "in_channels": 12,
            "out_channels": 6,
            "model_channels": 32,
            "channel_mult": [1, 2, 1],
            "num_res_blocks": 2,
            "attention_resolutions": [2, 4],
            "num_head_channels": 32,
            "image_size": 64,
        },
        "vae": {"ch": 32, "ch_mult": [1, 1, 2, 1, 1], "num_res_blocks": 1, "z_channels": 6, "embed_dim": 6},
        "vocoder": {
            "upsample_rates": [8, 6, 10],
            "upsample_kernel_sizes": [16, 12, 20],
            "upsample_initial_channel": 32,
            "resblock_kernel_sizes": [3],
            "resblock_dilation_sizes": [[1, 3]],
        },
    }
    torch.manual_seed(0)
    networks = Networks(Configuration.from_official(config)).half()
    weights = {networks.to_official(name): tensor for name, tensor in networks.state_dict().items()}
    save_file(weights, tmp_path / "weights.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(config))
    tone = np.sin(np.arange(12000) * 2 * np.pi * 3000 / 24000)
    soundfile.write(tmp_path / "input.wav", np.stack([tone, -tone], axis=1) * 0.2, 24000)
    latent = torch.randn(6, 6, 4, 16).numpy()
    given = {
        name: latent[i : i + 1] for i, name in enumerate(("vae_eps", "unet_x_t1", "unet_x_t501", "ddim_xT"))
    }
    given |= {"unet_x_t981": latent[4:5], "ddim_eta1_noises": latent[:4, None]}
    given |= {"ddim_eta0_timesteps": np.zeros(2), "ddim_eta1_timesteps": np.zeros(4)}
    given |= {"e2e_seed42_steps5_every8": np.zeros(1), "generate_batch_seed42_steps5_every4": np.zeros(1)}
    np.savez(tmp_path / "golden.npz", **given)
    golden = parity.Golden(tmp_path)
    with torch.inference_mode():
        for stage in parity.STAGES:
            for name, result, _ in stage(golden):
                golden.arrays[name] = np.asarray(result)
    np.savez(tmp_path / "golden.npz", **golden.arrays)
    return tmp_path


@pytest.mark.slow
def test_other_widths_and_levels_replay_and_a_changed_value_is_named(
    other_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MKL_CBWR", "COMPATIBLE")
    assert parity.main([str(other_folder)]) == 0
    assert int(capsys.readouterr().out.splitlines()[-1].split()[0]) > 45
    with np.load(other_folder / "golden.npz") as arrays:
        changed = dict(arrays)
    changed["unet_v_t501"][0, 0, 0, 0] += 1e-3
    changed["e2e_len"] = np.array(3)
    np.savez(other_folder / "golden.npz", **changed)
    assert parity.main([str(other_folder)]) == 1
    assert capsys.readouterr().out.splitlines()[-1].endswith("2 over: unet_v_t501, e2e_len")
