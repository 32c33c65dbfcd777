#pragma once
#include "Client.hpp"
#include "Keeper.hpp"

#include <vector>

#ifndef AIRBAND_CHANNELS
#define AIRBAND_CHANNELS 2
#endif

/// A stretch of sound between two stretches of context, and its restored form.
///
/// What is wanted are the `frames` frames after the first `context`; the render goes `fade` frames further, so that
/// the next window can fade in over them.
class Window {
public:
    static constexpr uint32_t kChannels = AIRBAND_CHANNELS;

    enum Outcome { kSilent, kRestored, kNothingMissing, kEngineAbsent, kFailed };

    void resize(uint32_t frames, uint32_t context, uint32_t fade);
    /// Forgets the windows before, as `resize` does, but allocates and frees nothing.
    void forget();

    /// The samples of one channel: context, frames, context.
    float* source(uint32_t channel) { return fSource.data() + channel * sourceFrames(); }
    uint32_t sourceFrames() const { return fFrames + 2 * fContext; }
    /// The restored samples of one channel: `frames` and `fade` beyond.
    const float* result(uint32_t channel) const { return fResult.data() + channel * (fFrames + fFade); }

    /// This window is played dry, and not rendered. True where the one before was rendered, and is to fade out over it.
    bool pass()
    {
        const bool fades = fBefore == kRendered;
        fBefore = kDry;
        return fades;
    }
    /// A dry sample, over which the window before fades out.
    float fadedOut(uint32_t channel, uint32_t frame, float dry) const
    {
        return frame < fFade ? faded(fTail[channel * fFade + frame], dry, frame) : dry;
    }

    /// Restores the source by the engine and waits for it: at most 5 s for a word from the engine, less after it failed
    /// to give one, and $AIRBAND_RENDER_WAIT_S in all. Where none runs one is started, which may take 60 s; when that
    /// fails it is not tried again before the window forgets. Silence stays silence without asking.
    ///
    /// `oneCutoff`: the first cut-off found holds for all windows. A window too short to tell takes the last one anyway.
    Outcome render(uint32_t rate, const airband::Knobs& knobs, bool oneCutoff, const std::atomic<bool>& stop);

    /// Why the last window was not restored; empty where it was.
    const std::string& problem() const { return fProblem; }

    /// The last cut-off found since it forgot the others; 0: none.
    float cutoffHz() const { return fCutoffHz; }

private:
    struct Sounding;
    Sounding sounding() const;
    airband::Report ask(const Sounding& sounding, uint32_t rate, const airband::Knobs& knobs,
        const std::atomic<bool>& stop);
    void fadeIn();
    float faded(float before, float after, uint32_t frame) const
    {
        return before + (after - before) * (float(frame) / float(fFade)); // two equal samples give the same, to the bit
    }

    uint32_t fFrames = 0, fContext = 0, fFade = 0;
    float fCutoffHz = 0;
    double fSilenceS = 0; // how long the engine may say nothing
    bool fStarts = true;  // an engine where none runs
    std::string fProblem;
    const std::shared_ptr<airband::Keeper> fKeeper = airband::Keeper::shared();
    std::vector<float> fSource, fResult;
    std::vector<float> fTail; // of the window before, where that was rendered
    enum { kNothing, kDry, kRendered } fBefore = kNothing; // what was played before this window
};
