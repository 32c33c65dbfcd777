#pragma once
#include "Client.hpp"

#include <vector>

/// A stretch of stereo sound between two stretches of context, and its restored form.
///
/// What is wanted are the `frames` frames after the first `context`; the render goes `fade` frames further, so that
/// the next window can fade in over them.
class Window {
public:
    static constexpr uint32_t kChannels = 2;

    enum Outcome { kSilent, kRendered, kEngineAbsent, kFailed };

    void resize(uint32_t frames, uint32_t context, uint32_t fade);

    /// The samples of one channel: context, frames, context.
    float* source(uint32_t channel) { return fSource.data() + channel * sourceFrames(); }
    uint32_t sourceFrames() const { return fFrames + 2 * fContext; }
    /// The restored samples of one channel: `frames` and `fade` beyond.
    const float* result(uint32_t channel) const { return fResult.data() + channel * (fFrames + fFade); }

    /// Restores the source by the engine and waits for it. Silence stays silence without asking.
    Outcome render(uint32_t rate, const airband::Knobs& knobs);

private:
    void ask(uint32_t rate, const airband::Knobs& knobs);

    uint32_t fFrames = 0, fContext = 0, fFade = 0;
    std::vector<float> fSource, fResult;
    std::vector<float> fTail; // of the window before, empty where that was not rendered
};
