// Airband Render: an insert for offline bounces. It delays sound by one window and a context, and while `Offline` is
// on gives it back restored by the engine, for which it makes the host wait. Off, or without an engine, the sound
// comes back as it was, with the same delay.
#include "Parameters.hpp"
#include "Window.hpp"

#include <cmath>
#include <cstdlib>
#include <mutex>

START_NAMESPACE_DISTRHO

static constexpr double kWindowS = 8, kWindowMinS = 0.5, kWindowMaxS = 9; // VST3 in DPF: 10 s of latency at most
static constexpr double kContextS = 1;                                    // the engine's own windows look 0.5 s around
static constexpr double kFadeS = 0.01;

static double windowSeconds()
{
    const char* const chosen = std::getenv("AIRBAND_RENDER_WINDOW_S");
    const double seconds = chosen != nullptr ? std::atof(chosen) : 0;
    return seconds > 0 ? std::min(std::max(seconds, kWindowMinS), kWindowMaxS) : kWindowS;
}

class Render : public Plugin {
    enum { kOffline = kKnobs, kInputs, kState = kInputs, kRendered, kDry, kParameters };
    enum State { kRealTime, kCollecting, kRestored, kEngineAbsent, kFailed };

public:
    Render() : Plugin(kParameters, 0, 0), fWindowS(windowSeconds()) { reset(); }

protected:
    const char* getLabel() const override { return "AirbandRender"; }
    const char* getDescription() const override { return "Restores sound by the Airband engine in an offline bounce"; }
    const char* getMaker() const override { return "Airband"; }
    const char* getLicense() const override { return "GPL-3.0-or-later"; }
    uint32_t getVersion() const override { return d_version(0, 1, 0); }
    int64_t getUniqueId() const override { return d_cconst('A', 'b', 'R', 'n'); }

    void initParameter(uint32_t index, Parameter& parameter) override
    {
        switch (index) {
        case kOffline:
            return describeSwitch(parameter, "Offline", "offline");
        case kState:
            return describeState(parameter, {"Real time: dry", "Collecting", "Restored", "Engine absent: dry", "Failed: dry"});
        case kRendered:
            describe(parameter, "Windows restored", "windows_restored", 0, 100000, 0);
            parameter.hints = kParameterIsOutput | kParameterIsInteger;
            return;
        case kDry:
            describe(parameter, "Windows dry", "windows_dry", 0, 100000, 0);
            parameter.hints = kParameterIsOutput | kParameterIsInteger;
            return;
        default:
            return describeKnob(Knob(index), parameter);
        }
    }

    float getParameterValue(uint32_t index) const override
    {
        switch (index) {
        case kState:
            return float(fValues[kOffline] > 0.5f ? fState.load() : kRealTime);
        case kRendered:
            return fRendered;
        case kDry:
            return fDry;
        default:
            return fValues[index];
        }
    }

    void setParameterValue(uint32_t index, float value) override
    {
        if (index < kInputs)
            fValues[index] = value;
    }

    void activate() override { reset(); }
    void sampleRateChanged(double) override { reset(); }

    void run(const float** in, float** out, uint32_t frames) override
    {
        const std::lock_guard<std::mutex> lock(fMutex);
        for (uint32_t i = 0; i < frames; ++i) {
            const uint32_t oldest = (fTime + fSpan - fLatency) % fSpan;
            for (uint32_t channel = 0; channel < Window::kChannels; ++channel) {
                float* const line = fLine.data() + channel * fSpan;
                const float sample = in[channel][i]; // before `out`, which may be the same memory
                out[channel][i] = fPlaysResult ? fWindow.result(channel)[fInWindow] : line[oldest];
                line[fTime] = sample;
            }
            fTime = (fTime + 1) % fSpan;
            if (++fInWindow == fFrames)
                next();
        }
    }

private:
    /// Sizes everything for the rate, and forgets the sound that was under way.
    void reset()
    {
        const std::lock_guard<std::mutex> lock(fMutex);
        const double rate = getSampleRate();
        fFrames = uint32_t(fWindowS * rate);
        const uint32_t context = uint32_t(kContextS * rate);
        fLatency = fFrames + context;
        fSpan = fFrames + 2 * context;
        fLine.assign(size_t(Window::kChannels) * fSpan, 0.f);
        fWindow.resize(fFrames, context, uint32_t(kFadeS * rate));
        fTime = 0;
        // The first window is whole once its frames and the context behind it are there.
        fInWindow = (fFrames - context % fFrames) % fFrames;
        fEmpty = 1 + (context + fFrames - 1) / fFrames;
        fPlaysResult = false;
        setLatency(fLatency);
    }

    /// What happens when a window has been played: the next one is whole.
    void next()
    {
        fInWindow = 0;
        if (fEmpty > 0) {
            if (--fEmpty > 0)
                return;
            fRendered = fDry = 0;
        }
        fPlaysResult = false;
        if (fValues[kOffline] < 0.5f)
            return;
        for (uint32_t channel = 0; channel < Window::kChannels; ++channel)
            std::rotate_copy(fLine.data() + channel * fSpan, fLine.data() + channel * fSpan + fTime,
                fLine.data() + (channel + 1) * fSpan, fWindow.source(channel));
        switch (fWindow.render(uint32_t(getSampleRate() + 0.5), knobsFrom(fValues))) {
        case Window::kSilent:
            fPlaysResult = true;
            return;
        case Window::kRendered:
            fState = kRestored;
            fPlaysResult = true;
            fRendered = fRendered + 1;
            return;
        case Window::kEngineAbsent:
            fState = kEngineAbsent;
            break;
        case Window::kFailed:
            fState = kFailed;
            break;
        }
        fDry = fDry + 1;
    }

    std::mutex fMutex; // a host may lose patience with a render, and reset the plugin meanwhile
    const double fWindowS;
    std::atomic<float> fValues[kInputs] = {};
    std::atomic<State> fState{kCollecting};
    std::atomic<float> fRendered{0}, fDry{0};
    uint32_t fFrames = 0, fLatency = 0;
    uint32_t fSpan = 0;      // of the delay line: a window and the context on both sides
    uint32_t fTime = 0;      // where the line is written next, and where its oldest frame stands
    uint32_t fInWindow = 0;  // frames played of the window under way
    uint32_t fEmpty = 0;     // windows to play before the first one is whole
    bool fPlaysResult = false;
    std::vector<float> fLine;
    Window fWindow;

    DISTRHO_DECLARE_NON_COPYABLE_WITH_LEAK_DETECTOR(Render)
};

Plugin* createPlugin()
{
    return new Render();
}

END_NAMESPACE_DISTRHO
