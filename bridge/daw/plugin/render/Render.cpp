// Airband Render: an insert for offline bounces. It delays sound by one window and a context; in a bounce it outputs
// the sound restored by the engine, and makes the host wait for that. In real time, or without an engine, it outputs
// the sound unchanged with the same delay; switched off, it has no delay.
#include "RenderParameters.hpp"
#include "RenderingPlugin.hpp"
#include "System.hpp"
#include "Window.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <mutex>

START_NAMESPACE_DISTRHO

static constexpr double kWindowS = 8, kWindowMinS = 0.5, kWindowMaxS = 9; // DPF's VST3 allows 10 s of latency
static constexpr double kContextS = 1;                                    // the engine's own windows use 0.5 s
static constexpr double kFadeS = 0.01;
static constexpr double kRateMaxHz = 1e6;                                 // above any host's rate; bounds memory

static double windowSeconds()
{
    const double seconds = airband::environmentNumber("AIRBAND_RENDER_WINDOW_S", kWindowS);
    return std::min(std::max(seconds, kWindowMinS), kWindowMaxS);
}

class Render : public RenderingPlugin {
public:
    Render() : RenderingPlugin(kParameters), fWindowS(windowSeconds())
    {
        fValues[kRestore] = kInBounces;
        reset();
    }

    ~Render() override { leave(); }

protected:
    const char* getLabel() const override { return Window::kChannels == 1 ? "AirbandRenderMono" : "AirbandRender"; }
    const char* getDescription() const override { return "Restores sound by the Airband engine in an offline bounce"; }
    const char* getMaker() const override { return "Airband"; }
    const char* getLicense() const override { return "GPL-3.0-or-later"; }
    uint32_t getVersion() const override { return d_version(0, 3, 0); }
    int64_t getUniqueId() const override { return d_cconst('A', 'b', 'R', Window::kChannels == 1 ? 'm' : 'n'); }

    void initParameter(uint32_t index, Parameter& parameter) override
    {
        switch (index) {
        case kRestore:
            describeChoice(parameter, "Restore", "restore", renderModes(), kInBounces);
            return;
        case kOneCutoff:
            return describeSwitch(parameter, "One cutoff", "one_cutoff");
        case kBypass:
            return parameter.initDesignation(kParameterDesignationBypass);
        case kFreewheel:
            describeSwitch(parameter, "Freewheel", "freewheel");
            parameter.hints = kParameterIsBoolean | kParameterIsInteger;
            return;
        case kState:
            return describeState(parameter, renderStates());
        case kRestored:
            return describeCount(parameter, "Windows restored", "windows_restored");
        case kNothingMissing:
            return describeCount(parameter, "Windows whole", "windows_whole");
        case kDry:
            return describeCount(parameter, "Windows dry", "windows_dry");
        case kCutoffFound:
            describe(parameter, "Cutoff found", "cutoff_found", 0, kCutoffMaxHz, 0);
            parameter.unit = "Hz";
            parameter.hints = kParameterIsOutput;
            return;
        default:
            return describeKnob(Knob(index), parameter, choices());
        }
    }

    float getParameterValue(uint32_t index) const override
    {
        switch (index) {
        case kState:
            return float(restores() ? fState.load() : kRealTime);
        case kRestored:
            return fRestored;
        case kNothingMissing:
            return fNothingMissing;
        case kDry:
            return fDry;
        case kCutoffFound:
            return fCutoffFound;
        default:
            return fValues[index];
        }
    }

    std::string problem() const override
    {
        const std::string lack = lacking(fValues);
        if (!lack.empty())
            return lack;
        const std::lock_guard<std::mutex> guard(fProblemMutex);
        return fProblem.empty() ? fKeeper->problem() : fProblem;
    }
    float cutoffHz() const override { return fCutoffFound; }
    void meetEngine() override { fKeeper->meet(); }

    void setParameterValue(uint32_t index, float value) override
    {
        if (index < kInputs)
            fValues[index] = value;
    }

    void activate() override { reset(); }
    void deactivate() override { leave(); }
    void sampleRateChanged(double) override { reset(); }

    void run(const float** in, float** out, uint32_t frames) override
    {
        const std::lock_guard<std::mutex> lock(fMutex);
        if (isOn() != (fLatency > 0))
            start();
        if (fLatency == 0) {
            for (uint32_t channel = 0; channel < Window::kChannels; ++channel)
                if (in[channel] != out[channel])
                    std::memcpy(out[channel], in[channel], frames * sizeof(float));
            return;
        }
        for (uint32_t i = 0; i < frames; ++i) {
            const uint32_t oldest = (fTime + fSpan - fLatency) % fSpan;
            for (uint32_t channel = 0; channel < Window::kChannels; ++channel) {
                float* const line = fLine.data() + channel * fSpan;
                const float sample = in[channel][i]; // read before writing: `out` may be the same memory
                const float dry = fHeld < fLatency ? 0 : line[oldest];
                out[channel][i] = fPlaysResult ? fWindow.result(channel)[fInWindow]
                    : fFadesOut                ? fWindow.fadedOut(channel, fInWindow, dry)
                                               : dry;
                line[fTime] = sample;
            }
            fTime = (fTime + 1) % fSpan;
            fHeld = std::min(fHeld + 1, fSpan);
            if (++fInWindow == fFrames)
                next();
        }
    }

private:
    RenderMode mode() const { return RenderMode(int(fValues[kRestore] + 0.5f)); }
    bool isOn() const { return mode() != kOff; }
    bool bounces() const
    {
        const bool offline = isOffline() || fValues[kFreewheel] > 0.5f;
        return mode() == kAlways || (mode() == kInBounces && offline);
    }
    bool restores() const { return bounces() && fValues[kBypass] < 0.5f; }

    /// Makes a window that is being rendered, which holds the lock, end at once, and waits until its thread has left.
    void leave()
    {
        fStop = true;
        const std::lock_guard<std::mutex> lock(fMutex);
    }

    void reset()
    {
        leave();
        const std::lock_guard<std::mutex> lock(fMutex);
        fStop = false;
        size();
        start();
    }

    /// Sizes all buffers for the rate; allocates only if the rate is a new one.
    void size()
    {
        const double rate = getSampleRate() > 1 ? std::min(getSampleRate(), kRateMaxHz) : 1;
        if (rate == fSizedHz)
            return;
        fSizedHz = rate;
        fFrames = std::max(uint32_t(fWindowS * rate), uint32_t(1));
        fContext = uint32_t(kContextS * rate);
        fSpan = fFrames + 2 * fContext;
        fLine.assign(size_t(Window::kChannels) * fSpan, 0.f);
        fWindow.resize(fFrames, fContext, uint32_t(kFadeS * rate));
    }

    /// Forgets the sound in progress; safe for the audio thread, as it neither allocates nor clears memory.
    void start()
    {
        fLatency = isOn() ? fFrames + fContext : 0;
        fTime = fHeld = 0;
        // The first window is complete once its frames and the context after them have arrived.
        fInWindow = (fFrames - fContext % fFrames) % fFrames;
        fEmpty = 1 + (fContext + fFrames - 1) / fFrames;
        fPlaysResult = fFadesOut = fInBounce = false;
        fWindow.forget();
        setLatency(fLatency);
    }

    /// Called when a window has been played, and the next one is complete.
    void next()
    {
        fInWindow = 0;
        if (fEmpty > 0 && --fEmpty > 0)
            return;
        const bool began = bounces() && !fInBounce; // LV2 and CLAP hosts need not stop the plugin before a bounce
        fInBounce = bounces();
        if (began) {
            fRestored = fNothingMissing = fDry = fCutoffFound = 0;
            fState = kCollecting;
            fWindow.forget();
        }
        fPlaysResult = fFadesOut = false;
        if (!restores() || fStop) {
            fFadesOut = fWindow.pass();
            return;
        }
        for (uint32_t channel = 0; channel < Window::kChannels; ++channel) {
            float* const source = fWindow.source(channel);
            std::rotate_copy(fLine.data() + channel * fSpan, fLine.data() + channel * fSpan + fTime,
                fLine.data() + (channel + 1) * fSpan, source);
            std::fill_n(source, fSpan - fHeld, 0.f); // silence before the first frame
        }
        const uint32_t rate = uint32_t(getSampleRate() + 0.5);
        const Window::Outcome outcome = fWindow.render(rate, knobsFrom(fValues), fValues[kOneCutoff] > 0.5f, fStop);
        fCutoffFound = fWindow.cutoffHz();
        tell(fWindow.problem());
        fPlaysResult = true;
        switch (outcome) {
        case Window::kSilent:
            break;
        case Window::kRestored:
            fState = kStateRestored;
            fRestored = fRestored + 1;
            break;
        case Window::kNothingMissing:
            fState = kStateNothingMissing;
            fNothingMissing = fNothingMissing + 1;
            break;
        case Window::kEngineAbsent:
            fState = kEngineAbsent;
            fDry = fDry + 1;
            break;
        case Window::kFailed:
            fState = kFailed;
            fDry = fDry + 1;
            break;
        }
    }

    void tell(const std::string& problem)
    {
        const std::lock_guard<std::mutex> guard(fProblemMutex);
        fProblem = problem;
    }

    mutable std::mutex fProblemMutex;
    std::string fProblem;
    const std::shared_ptr<airband::Keeper> fKeeper = airband::Keeper::shared();
    std::mutex fMutex; // a host may give up waiting for a render, and reset the plugin meanwhile
    const double fWindowS;
    std::atomic<bool> fStop{false};
    std::atomic<float> fValues[kInputs] = {};
    std::atomic<RenderState> fState{kCollecting};
    std::atomic<float> fRestored{0}, fNothingMissing{0}, fDry{0}, fCutoffFound{0};
    double fSizedHz = 0;     // the rate that all buffers are sized for
    uint32_t fFrames = 0, fContext = 0, fLatency = 0;
    uint32_t fSpan = 0;      // length of the delay line: a window with context on both sides
    uint32_t fTime = 0;      // position in the line of the next frame to write, which is the oldest one
    uint32_t fHeld = 0;      // frames in the line since the start; older ones are not read
    uint32_t fInWindow = 0;  // frames played of the current window
    uint32_t fEmpty = 0;     // windows to play before the first one is complete
    bool fPlaysResult = false, fFadesOut = false; // the current window: a result, or dry sound after one
    bool fInBounce = false;  // at the window before
    std::vector<float> fLine;
    Window fWindow;

    DISTRHO_DECLARE_NON_COPYABLE_WITH_LEAK_DETECTOR(Render)
};

Plugin* createPlugin()
{
    return new Render();
}

END_NAMESPACE_DISTRHO
