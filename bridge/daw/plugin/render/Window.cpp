#include "Window.hpp"
#include "System.hpp"

#include <algorithm>
#include <cstring>

using airband::Client;

static constexpr double kTellingS = 0.25;                  // shortest sound in which a cut-off is looked for
static constexpr double kSilenceS = 5, kSilenceMinS = 0.5; // patience with a silent engine, halved each time
static constexpr double kWaitS = 120;

/// The part of a source from its first to its last sample that is not zero.
///
/// Only this is sent: an abrupt end followed by zeros is a click, whose spectrum hides the end of the band.
struct Window::Sounding {
    uint32_t first, end;

    bool empty() const { return first >= end; }
};

void Window::resize(uint32_t frames, uint32_t context, uint32_t fade)
{
    fFrames = frames;
    fContext = context;
    fFade = fade;
    fSource.assign(size_t(kChannels) * sourceFrames(), 0.f);
    fResult.assign(size_t(kChannels) * (frames + fade), 0.f);
    fTail.assign(size_t(kChannels) * fade, 0.f);
    forget();
}

void Window::forget()
{
    fCutoffHz = 0;
    fSilenceS = kSilenceS;
    fStarts = true;
    fProblem.clear();
    fBefore = kNothing;
}

Window::Sounding Window::sounding() const
{
    Sounding found = {sourceFrames(), 0};
    for (uint32_t channel = 0; channel < kChannels; ++channel) {
        const float* const samples = fSource.data() + channel * sourceFrames();
        for (uint32_t i = 0; i < found.first; ++i)
            if (samples[i] != 0)
                found.first = i;
        for (uint32_t i = sourceFrames(); i > found.end; --i)
            if (samples[i - 1] != 0)
                found.end = i;
    }
    return found;
}

Window::Outcome Window::render(
    uint32_t rate, const airband::Knobs& knobs, bool oneCutoff, const std::atomic<bool>& stop)
{
    std::fill(fResult.begin(), fResult.end(), 0.f);
    const Sounding sound = sounding();
    const bool wanted = !sound.empty() && sound.first < fContext + fFrames + fFade && sound.end > fContext;
    Outcome outcome = kSilent;
    try {
        if (wanted) {
            airband::Knobs asked = knobs;
            if (knobs.cutoffHz <= 0 && (oneCutoff || sound.end - sound.first < kTellingS * rate))
                asked.cutoffHz = fCutoffHz;
            const airband::Report report = ask(sound, rate, asked, stop);
            outcome = report.generated ? kRestored : kNothingMissing;
            if (report.generated)
                fCutoffHz = float(report.cutoffHz);
        }
        fSilenceS = kSilenceS;
        fProblem.clear();
    } catch (const airband::EngineAbsent& absent) {
        outcome = kEngineAbsent;
        fSilenceS = std::max(fSilenceS / 2, kSilenceMinS);
        fStarts = false;
        fProblem = absent.what();
    } catch (const std::exception& error) {
        outcome = kFailed;
        fProblem = error.what();
    }
    if (outcome == kEngineAbsent || outcome == kFailed)
        for (uint32_t channel = 0; channel < kChannels; ++channel)
            std::copy_n(source(channel) + fContext, fFrames + fFade, fResult.data() + channel * (fFrames + fFade));
    fadeIn();
    return outcome;
}

/// Fades the result in over the previous window, and keeps the tail that fades it out.
void Window::fadeIn()
{
    for (uint32_t channel = 0; channel < kChannels; ++channel) {
        float* const begin = fResult.data() + channel * (fFrames + fFade);
        float* const tail = fTail.data() + channel * fFade;
        for (uint32_t i = 0; i < fFade && fBefore != kNothing; ++i)
            begin[i] = faded(fBefore == kRendered ? tail[i] : source(channel)[fContext + i], begin[i], i);
        std::copy_n(begin + fFrames, fFade, tail);
    }
    fBefore = kRendered;
}

airband::Report Window::ask(
    const Sounding& sound, uint32_t rate, const airband::Knobs& knobs, const std::atomic<bool>& stop)
{
    const uint32_t frames = sound.end - sound.first;
    const uint32_t first = std::max(fContext, sound.first), end = std::min(fContext + fFrames + fFade, sound.end);
    std::vector<float> source(size_t(kChannels) * frames), result(size_t(kChannels) * (end - first));
    for (uint32_t channel = 0; channel < kChannels; ++channel)
        std::copy_n(fSource.data() + channel * sourceFrames() + sound.first, frames, source.data() + channel * frames);
    airband::Knobs wanted = knobs;
    wanted.start = first - sound.first;
    wanted.end = end - sound.first;

    Client client("airband-render", stop, {fSilenceS, airband::environmentNumber("AIRBAND_RENDER_WAIT_S", kWaitS)}, fStarts);
    fKeeper->keep();
    const std::string job = airband::newJob();
    airband::Report report;
    try {
        const char* const from = reinterpret_cast<const char*>(source.data());
        client.submitSamples(
            job, {rate, kChannels, frames},
            [from](uint64_t offset, char* into, size_t count) { std::memcpy(into, from + offset, count); }, wanted);
        report = client.watch(job, [](float) {});
        char* const into = reinterpret_cast<char*>(result.data());
        client.fetch(job, result.size() * sizeof(float),
            [into](uint64_t offset, const char* bytes, size_t count) { std::memcpy(into + offset, bytes, count); });
        client.forget(job);
    } catch (...) {
        client.cancel(job);
        throw;
    }
    for (uint32_t channel = 0; channel < kChannels; ++channel)
        std::copy_n(result.data() + channel * (end - first), end - first,
            fResult.data() + channel * (fFrames + fFade) + (first - fContext));
    return report;
}
