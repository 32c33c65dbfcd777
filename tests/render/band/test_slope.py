"""The slope of the filter that ended an input, measured on swept known filters, and its correction."""

import numpy as np
import pytest
import soxr
from numpy.typing import NDArray
from scipy import signal

from render.band.cutoff import find_cutoff
from render.band.slope import MOST_DB, ORDERS, RIPPLES, Slope, _loss_db, _losses_db, find_slope
from render.band.spectrum import measure
from render.clip import ArrayClip
from render.filters import highpass, made_good

RATE = 48000
Samples = NDArray[np.float64]
rng = np.random.default_rng(11)
SPECTRUM = np.fft.rfft(rng.standard_normal(6 * RATE)) / np.sqrt(1 + np.fft.rfftfreq(6 * RATE, 1 / 500))
PINK = 0.05 * np.fft.irfft(SPECTRUM) / np.std(np.fft.irfft(SPECTRUM))
FILTERS = {
    "Chebyshev": lambda hz: signal.cheby1(8, 0.05, hz, fs=RATE, output="sos"),
    "Chebyshev, steep": lambda hz: signal.cheby1(12, 0.1, hz, fs=RATE, output="sos"),
    "Butterworth 6": lambda hz: signal.butter(6, hz, fs=RATE, output="sos"),
    "Butterworth 10": lambda hz: signal.butter(10, hz, fs=RATE, output="sos"),
    "Chebyshev II": lambda hz: signal.cheby2(8, 60, 1.3 * hz, fs=RATE, output="sos"),
}


def slope_of(samples: Samples) -> Slope | None:
    return find_cutoff(ArrayClip(samples[None].astype(np.float32), RATE), "auto").slope


@pytest.mark.parametrize("cutoff_hz", [3000, 8000, 12000])
@pytest.mark.parametrize("name", FILTERS)
def test_what_a_filter_took_is_known_within_5_db(name: str, cutoff_hz: float) -> None:
    sections = FILTERS[name](cutoff_hz)
    slope = slope_of(signal.sosfiltfilt(sections, PINK))
    assert slope is not None
    hz, gain = signal.sosfreqz(sections, 1 << 15, fs=RATE)
    loss_db = -40 * np.log10(np.abs(gain) + 1e-12)
    on_slope = (hz > 0.95 * slope.edge_hz) & (hz < slope.end_hz)
    assert loss_db[on_slope].max() > 0.7 * MOST_DB
    error_db = np.abs(slope.loss_db(hz[on_slope]) - loss_db[on_slope])
    assert np.median(error_db) < 4
    assert error_db.max() < 5


def test_nothing_is_left_behind_an_edge() -> None:
    spectrum = np.fft.rfft(PINK)
    spectrum[np.fft.rfftfreq(len(PINK), 1 / RATE) > 8000] = 0
    assert slope_of(np.fft.irfft(spectrum)) is None


@pytest.mark.parametrize("rate", [16000, 44100])
@pytest.mark.parametrize("edge", [0.7, 0.75])
def test_a_slope_ends_where_the_filter_stops_also_near_nyquist(edge: float, rate: int) -> None:
    """What a filter's stopband lets through cannot be made good."""
    brown = np.fft.irfft(SPECTRUM / np.sqrt(1 + np.fft.rfftfreq(6 * RATE, 1 / 500)))
    bursts = brown / np.abs(brown).max() * np.exp(-6 * (np.arange(6 * RATE) / 16000 % 1))
    taps = signal.firwin(81, edge * rate / 2, fs=rate, window=("kaiser", 6))
    low = signal.fftconvolve(soxr.resample(bursts, RATE, rate, quality="VHQ"), taps, "same")
    dithered = np.round(low * 32768 + rng.triangular(-1, 0, 1, len(low))) / 32768
    hz, gain = signal.freqz(taps, worN=1 << 14, fs=rate)
    cutoff = find_cutoff(ArrayClip(dithered[None].astype(np.float32), rate), "auto")
    assert cutoff.hz == pytest.approx(edge * rate / 2, rel=0.02)
    assert cutoff.slope is not None
    assert cutoff.slope.end_hz < hz[np.argmax(np.abs(gain) < 10 ** (-50 / 20))]


def test_a_slope_ends_where_noise_begins() -> None:
    sections = FILTERS["Chebyshev"](8000)
    clean = signal.sosfiltfilt(sections, PINK)
    ends = []
    for floor_db in (-110, -90, -75):
        slope = slope_of(clean + 10 ** (floor_db / 20) * rng.standard_normal(len(clean)))
        assert slope is not None
        assert slope.noise_density > 0
        ends.append(slope.end_hz)
    quiet = slope_of(clean)
    assert quiet is not None
    assert quiet.noise_density == 0
    assert quiet.end_hz >= ends[0] >= ends[1] > ends[2]


@pytest.mark.parametrize("cutoff_hz", [8000, 12000, 15500])
def test_noise_that_ends_by_itself_is_noise(cutoff_hz: float) -> None:
    noise = 1e-4 * rng.standard_normal(len(PINK))
    clean = signal.sosfiltfilt(FILTERS["Chebyshev"](cutoff_hz), PINK)
    white = slope_of(clean + noise)
    ended = slope_of(clean + signal.sosfiltfilt(FILTERS["Chebyshev"](19500), noise))
    assert white is not None
    assert ended is not None
    assert ended.end_hz == pytest.approx(white.end_hz, rel=0.03)
    assert ended.noise_density == pytest.approx(white.noise_density, rel=0.5)


def test_a_full_band_has_no_slope_whatever_the_edge() -> None:
    spectrum = measure(ArrayClip(PINK[None].astype(np.float32), RATE))
    slope = find_slope(spectrum.powers, spectrum.edges_hz, 8000, spectrum.bin_hz, RATE / 2)
    assert slope is None or slope.loss_db(np.array([7000.0, 8000.0])).max() < 8


@pytest.mark.parametrize("cutoff_hz", [4000.0, 12000.0])
def test_made_good_the_slope_is_flat_and_the_low_band_untouched(cutoff_hz: float) -> None:
    slope = Slope(cutoff_hz, 30, 0.05, RATE / 2, cutoff_hz * 1.15, 0)
    crossover_hz = cutoff_hz * 1.12
    added, upper = made_good(slope, cutoff_hz, crossover_hz, 1 / 12), highpass(crossover_hz, 1 / 12)
    assert added.reach > upper.reach
    impulse = np.zeros((1, 1), np.float32)
    impulse[0, 0] = 1
    taps, crossed = added(impulse)[0].astype(np.float64), upper(impulse)[0].astype(np.float64)
    hz = np.fft.rfftfreq(1 << 17, 1 / RATE)
    n = np.arange(-added.reach, added.reach + 1)
    gain = np.fft.rfft(np.roll(np.pad(taps, (0, (1 << 17) - len(taps))), -added.reach)).real
    over = np.fft.rfft(np.roll(np.pad(crossed, (0, (1 << 17) - len(crossed))), -upper.reach)).real
    assert len(n) == len(taps)
    total = 20 * np.log10(np.abs((1 + gain - over) * 10 ** (-slope.loss_db(hz) / 20)) + 1e-9)
    flat = (hz > cutoff_hz) & (hz < 1.085 * cutoff_hz)
    assert np.abs(total[flat]).max() < 1
    assert np.abs(total[hz < 0.9 * cutoff_hz]).max() < 0.1
    hz = np.fft.rfftfreq(len(PINK), 1 / RATE)
    given = np.fft.irfft(np.fft.rfft(PINK) * 10 ** (-slope.loss_db(hz) / 20))[None].astype(np.float32)
    window, below = np.blackman(len(PINK)), hz < 0.85 * cutoff_hz
    made = added(given)[:, added.reach : -added.reach]
    spectra = [np.fft.rfft(window * each[0])[below] for each in (made, given)]
    powers = [np.sum(np.abs(each) ** 2) for each in spectra]
    assert 10 * np.log10(powers[0] / powers[1]) < -110


@pytest.mark.parametrize("ripple_share", RIPPLES)
def test_many_filters_at_once_lose_what_each_does_alone(ripple_share: float) -> None:
    ratio, edges = np.geomspace(0.3, 30, 400), np.array([0.5, 1.0])
    alone = _loss_db(ratio / edges[:, None, None], ORDERS[:, None], ripple_share)
    together = _losses_db(ratio, edges, ORDERS)[RIPPLES.index(ripple_share)]
    assert np.isfinite(together).all()
    assert np.abs(together - alone)[alone < 100].max() < 1e-4
    np.testing.assert_allclose(together[alone < 340], alone[alone < 340], rtol=1e-6, atol=1e-4)
    assert together[alone >= 340].min(initial=340) > 339  # above, losses are not told apart


def test_between_the_partials_of_a_note_no_gentle_filter_is_seen() -> None:
    """A guitar's fifth whose partials leave a gap below 4.25 kHz: a gentle low-pass from 3.6 kHz on fits as
    well as the steep one that was used, and correcting for it would add 26 dB too much."""
    levels_db = [
        *(-74, -75, -75, -77, -77, -69, -66, -73, -82, -80, -77, -75, -64, -56, -56, -64, -68, -70, -73, -67),
        *(-61, -67, -77, -73, -72, -59, -53, -63, -75, -75, -70, -58, -49, -52, -50, -59, -67, -54, -57, -74),
        *(-77, -64, -55, -63, -75, -76, -77, -74, -80, -87, -79, -62, -61, -74, -65, -69, -82),
    ]
    edges_hz = 24000 * 2 ** (np.arange(-300, 1) / 48)
    hz = np.sqrt(edges_hz[1:] * edges_hz[:-1])
    took_db = -40 * np.log10(np.abs(signal.sosfreqz(FILTERS["Chebyshev"](4000), hz, fs=RATE)[1]) + 1e-9)
    contour = np.full(len(hz), -70.0)
    first = int(np.searchsorted(hz, 2046))
    contour[first : first + len(levels_db)] = levels_db
    contour += np.random.default_rng(1).normal(0, 2, len(contour))
    powers = np.tile(10 ** ((contour - took_db) / 10), (20, 1)).astype(np.float32)
    slope = find_slope(powers, edges_hz, 4043, 23.4, RATE / 2)
    assert slope is not None
    above = (hz > 4043) & (hz < slope.end_hz)
    made_db = contour[above] - took_db[above] + slope.loss_db(hz[above])
    step_db = 10 * np.log10(np.sum(10 ** (made_db / 10)) / np.sum(10 ** (contour[above] / 10)))
    assert step_db < 6
