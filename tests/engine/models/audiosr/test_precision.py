from __future__ import annotations

import pytest
import torch

from engine.models.audiosr import precision
from engine.models.audiosr.networks import Networks


def test_which_weights_are_halved(small_networks: Networks) -> None:
    """Everything of U-Net and encoder, the kernels of the decoder's finest levels, nothing else."""
    halved = {name for name, _ in small_networks.named_parameters() if precision.HALVED.match(name)}
    for name, tensor in small_networks.named_parameters():
        network, _, rest = name.partition(".")
        if network in ("unet", "encoder"):
            assert name in halved
        elif rest.startswith(("decoder.up.0.", "decoder.up.1.upsample.", "decoder.up.1.block.1.")):
            is_norm = ".norm" in rest
            assert (name in halved) != is_norm, name
            assert tensor.ndim in (1, 4)
        else:
            assert name not in halved


def test_a_decoder_of_16_bit_kernels_rounds_less_than_one_that_is_16_bit(small_networks: Networks) -> None:
    z = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    decoder = small_networks.decoder
    with torch.inference_mode():
        exact = decoder(z)
        precision.halve(small_networks, torch.bfloat16)
        kernels = decoder(z) - exact
        everything = decoder.to(torch.bfloat16)(z.bfloat16()).float() - exact
    assert kernels.dtype == torch.float32
    assert float(exact.std()) > 0.01
    assert 0 < float(kernels.norm()) < 0.6 * float(everything.norm())


@pytest.mark.parametrize(("least_db", "halved"), [(10.0, True), (200.0, False)])
def test_a_vocoder_is_halved_only_where_it_sounds_the_same(
    small_networks: Networks, monkeypatch: pytest.MonkeyPatch, least_db: float, halved: bool
) -> None:
    monkeypatch.setattr(precision, "LEAST_SNR_DB", least_db)
    vocoder = precision.halved_if_faithful(small_networks.vocoder, torch.bfloat16)
    assert {p.dtype for p in vocoder.parameters()} == {torch.bfloat16 if halved else torch.float32}
    assert {p.dtype for p in small_networks.vocoder.parameters()} == {torch.float32}


def test_snr_leaves_dc_out() -> None:
    exact = torch.sin(torch.arange(4800) * 0.1)
    assert precision.snr_db(exact, 1.01 * exact + 3) == pytest.approx(40.0, abs=0.01)
