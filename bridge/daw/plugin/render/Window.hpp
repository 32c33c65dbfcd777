#pragma once
#include "Client.hpp"
#include "Keeper.hpp"

#include <vector>

#ifndef AIRBAND_CHANNELS
#define AIRBAND_CHANNELS 2
#endif

/// A stretch of sound with context on both sides, and its restored form.
///
/// The result consists of the `frames` frames after the first `context`. The render goes `fade` frames further, so that
/// the next window can be faded in over them.
class Window {
public:
    static constexpr uint32_t kChannels = AIRBAND_CHANNELS;

    enum Outcome { kSilent, kRestored, kNothingMissing, kEngineAbsent, kFailed };

    void resize(uint32_t frames, uint32_t context, uint32_t fade);
    /// Forgets earlier windows, as `resize` does, but neither allocates nor frees memory.
    void forget();

    /// The samples of one channel: context, frames, context.
    float* source(uint32_t channel) { return fSource.data() + channel * sourceFrames(); }
    uint32_t sourceFrames() const { return fFrames + 2 * fContext; }
    /// The restored samples of one channel: `frames`, and `fade` more.
    const float* result(uint32_t channel) const { return fResult.data() + channel * (fFrames + fFade); }

    /// Plays this window dry, without rendering it. True if the one before was rendered and must fade out over it.
    bool pass()
    {
        const bool fades = fBefore == kRendered;
        fBefore = kDry;
        return fades;
    }
    /// A dry sample, with the fade-out of the window before.
    float fadedOut(uint32_t channel, uint32_t frame, float dry) const
    {
        return frame < fFade ? faded(fTail[channel * fFade + frame], dry, frame) : dry;
    }

    /// Has the engine restore the source, and waits for it: at most 5 s for any message of the engine, less after it has
    /// failed to send one, and $AIRBAND_RENDER_WAIT_S in all. If none runs one is started, which may take 60 s; if that
    /// fails it is not tried again until `forget`. Silence is returned as silence, without the engine.
    ///
    /// `oneCutoff`: use the first cut-off found for all windows. A window too short to find one always uses the last.
    Outcome render(uint32_t rate, const airband::Knobs& knobs, bool oneCutoff, const std::atomic<bool>& stop);

    /// Why the last window was not restored; empty if it was.
    const std::string& problem() const { return fProblem; }

    /// The last cut-off found since `forget`, in Hz; 0: none.
    float cutoffHz() const { return fCutoffHz; }

private:
    struct Sounding;
    Sounding sounding() const;
    airband::Report ask(const Sounding& sounding, uint32_t rate, const airband::Knobs& knobs,
        const std::atomic<bool>& stop);
    void fadeIn();
    float faded(float before, float after, uint32_t frame) const
    {
        return before + (after - before) * (float(frame) / float(fFade)); // exact, bit for bit, for two equal samples
    }

    uint32_t fFrames = 0, fContext = 0, fFade = 0;
    float fCutoffHz = 0;
    double fSilenceS = 0; // how long the engine may be silent
    bool fStarts = true;  // whether to start an engine if none runs
    std::string fProblem;
    const std::shared_ptr<airband::Keeper> fKeeper = airband::Keeper::shared();
    std::vector<float> fSource, fResult;
    std::vector<float> fTail; // of the window before, if that was rendered
    enum { kNothing, kDry, kRendered } fBefore = kNothing; // what was played in the window before
};
