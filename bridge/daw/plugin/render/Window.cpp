#include "Window.hpp"

#include <algorithm>
#include <cstring>

using airband::Client;

void Window::resize(uint32_t frames, uint32_t context, uint32_t fade)
{
    fFrames = frames;
    fContext = context;
    fFade = fade;
    fSource.assign(size_t(kChannels) * sourceFrames(), 0.f);
    fResult.assign(size_t(kChannels) * (frames + fade), 0.f);
    fTail.clear();
}

Window::Outcome Window::render(uint32_t rate, const airband::Knobs& knobs)
{
    const bool silent = std::all_of(fSource.begin(), fSource.end(), [](float sample) { return sample == 0; });
    Outcome outcome = silent ? kSilent : kRendered;
    try {
        if (silent)
            std::fill(fResult.begin(), fResult.end(), 0.f);
        else
            ask(rate, knobs);
    } catch (const airband::EngineAbsent&) {
        outcome = kEngineAbsent;
    } catch (const std::exception&) {
        outcome = kFailed;
    }
    if (outcome == kEngineAbsent || outcome == kFailed) {
        fTail.clear();
        return outcome;
    }
    std::vector<float> tail(size_t(kChannels) * fFade);
    for (uint32_t channel = 0; channel < kChannels; ++channel) {
        float* const begin = fResult.data() + channel * (fFrames + fFade);
        std::copy_n(begin + fFrames, fFade, tail.data() + channel * fFade);
        // Written so that two equal windows give the same samples, to the bit.
        for (uint32_t i = 0; i < fFade && !fTail.empty(); ++i) {
            const float before = fTail[channel * fFade + i];
            begin[i] = before + (begin[i] - before) * (float(i) / float(fFade));
        }
    }
    fTail = tail;
    return outcome;
}

void Window::ask(uint32_t rate, const airband::Knobs& knobs)
{
    const std::atomic<bool> never{false};
    Client client("airband-render", never);
    airband::Knobs wanted = knobs;
    wanted.start = fContext;
    wanted.end = fContext + fFrames + fFade;
    const char* const source = reinterpret_cast<const char*>(fSource.data());
    char* const result = reinterpret_cast<char*>(fResult.data());
    const std::string job = airband::newJob();
    client.submit(
        job, {rate, kChannels, sourceFrames()},
        [source](uint64_t offset, char* into, size_t count) { std::memcpy(into, source + offset, count); }, wanted);
    client.watch(job, [](float) {});
    client.fetch(job, fResult.size() * sizeof(float),
        [result](uint64_t offset, const char* from, size_t count) { std::memcpy(result + offset, from, count); });
    client.forget(job);
}
