// A plugin that fails on demand, for the tests of render.effects.plugin_host. It passes audio through until parameter
// `mode` says how to fail at the first sound, or $AIRBAND_MISBEHAVE says how to fail while it is loaded.
#include "DistrhoPlugin.hpp"

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <string>
#include <unistd.h>

START_NAMESPACE_DISTRHO

enum Mode { kWell, kSegv, kHang, kAbort, kExit, kNan, kLate, kModes };
enum Parameters { kMode, kStubborn, kDrift, kParameters };

static void fail(int mode)
{
    switch (mode) {
    case kSegv:
        *(volatile int*)nullptr = 1;
        break;
    case kHang:
        for (;;)
            sleep(1);
    case kAbort:
        abort();
    case kExit:
        _exit(3);
    }
}

static bool sounds(const float* samples, uint32_t frames)
{
    for (uint32_t i = 0; i < frames; ++i)
        if (samples[i] != 0)
            return true;
    return false;
}

class Misbehave : public Plugin
{
public:
    Misbehave() : Plugin(kParameters, 0, 0)
    {
        const char* const when = getenv("AIRBAND_MISBEHAVE");
        const std::string wanted(when != nullptr ? when : "");
        if (wanted == "segv at load")
            fail(kSegv);
        if (wanted == "hang at load")
            fail(kHang);
        if (wanted == "slow load")
            sleep(2);
    }

protected:
    const char* getLabel() const override { return "Misbehave"; }
    const char* getMaker() const override { return "Airband"; }
    const char* getLicense() const override { return "GPL-3.0-or-later"; }
    uint32_t getVersion() const override { return d_version(1, 0, 0); }
    int64_t getUniqueId() const override { return d_cconst('M', 'i', 's', 'b'); }

    void initParameter(uint32_t index, Parameter& parameter) override
    {
        static const char* const names[] = {"Mode", "Stubborn", "Drift"};
        parameter.hints = kParameterIsAutomatable;
        parameter.name = names[index];
        parameter.symbol = names[index];
        parameter.ranges.min = 0;
        parameter.ranges.def = 0;
        parameter.ranges.max = index == kMode ? kModes - 1 : 1;
        if (index == kMode)
            parameter.hints |= kParameterIsInteger;
        if (index == kStubborn)
            parameter.hints |= kParameterIsOutput;
    }

    float getParameterValue(uint32_t index) const override { return fValues[index]; }

    void setParameterValue(uint32_t index, float value) override
    {
        if (index == kStubborn)
            return;
        fValues[index] = value;
        if (index == kMode && (int)std::lround(value) == kLate)
            setLatency(1u << 30);
    }

    // `Drift` is remembered sound: it grows with every frame until deactivate() clears it.
    void deactivate() override { fHeard = 0; }

    void run(const float** in, float** out, uint32_t frames) override
    {
        for (int c = 0; c < 2; ++c)
            if (in[c] != out[c])
                std::memcpy(out[c], in[c], frames * sizeof(float));
        if (sounds(in[0], frames)) {
            fail((int)std::lround(fValues[kMode]));
            if ((int)std::lround(fValues[kMode]) == kNan)
                out[0][0] = NAN;
        }
        for (uint32_t i = 0; i < frames && fValues[kDrift] > 0; ++i)
            out[0][i] += fValues[kDrift] * 1e-6f * (float)++fHeard;
    }

private:
    float fValues[kParameters] = {};
    long fHeard = 0;

    DISTRHO_DECLARE_NON_COPYABLE_WITH_LEAK_DETECTOR(Misbehave)
};

Plugin* createPlugin() { return new Misbehave(); }

END_NAMESPACE_DISTRHO
