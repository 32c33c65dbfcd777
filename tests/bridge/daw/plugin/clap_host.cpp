// A small CLAP host: sends planar float samples through a plugin, and tells its parameters.
//
//   clap_host PLUGIN.clap IN.f32 OUT.f32 RATE BLOCK [WORD ...] [NAME=VALUE ...]   parameters while the sound passes
//   clap_host ... -- [NAME=VALUE ...]                                             parameters afterwards, in silence
//   clap_host ... -- ... until NAME=VALUE                                         how long; 60 s at most
//
// Words: `offline` renders offline, `no-latency` has no clap.latency, `rolling` moves the transport from frame 0 on,
// `restored` gives the parameters as a saved state in place of setting them, and only then; `track:NAME` names the track.
// It prints the latency and one line NAME=VALUE a parameter, once after the sound and once at the end.
#include "clap_instance.hpp"

#include <algorithm>
#include <chrono>
#include <set>
#include <thread>

static std::pair<std::string, double> setting(const std::string& text)
{
    const size_t sign = text.find('=');
    return {text.substr(0, sign), std::atof(text.c_str() + sign + 1)};
}

static std::vector<char> savedWith(const Library& library, const Settings& settings, double rate, uint32_t block)
{
    Instance instance(library);
    instance.start(rate, block);
    std::vector<float> silence(instance.channels * block);
    float* const channels[] = {silence.data(), silence.data() + (instance.channels - 1) * block};
    instance.set(settings);
    instance.process(channels, block);
    const std::vector<char> state = instance.saved();
    instance.stop();
    return state;
}

int main(int count, char** arguments)
{
    if (count < 6)
        return 2;
    const double rate = std::atof(arguments[4]);
    const uint32_t block = uint32_t(std::atoi(arguments[5]));
    std::set<std::string> words;
    std::string track;
    Settings during, after, until;
    Settings* list = &during;
    for (int i = 6; i < count; ++i) {
        const std::string text = arguments[i];
        if (text == "--")
            list = &after;
        else if (text == "until")
            list = &until;
        else if (text.compare(0, 6, "track:") == 0)
            track = text.substr(6);
        else if (text.find('=') == std::string::npos)
            words.insert(text);
        else
            list->push_back(setting(text));
    }

    const Library library(arguments[1]);
    Instance instance(library, track, words.count("no-latency") == 0);
    if (words.count("restored") != 0)
        instance.load(savedWith(library, during, rate, block));
    instance.start(rate, block, words.count("offline") != 0);
    std::printf("latency=%u\n", instance.latency());

    const uint32_t width = instance.channels;
    std::vector<float> silence(width * block);
    float* const silent[] = {silence.data(), silence.data() + (width - 1) * block};
    if (words.count("restored") == 0) {
        instance.process(silent, block); // parameters are set by hand, in a plugin that runs
        instance.set(during);
    }

    FILE* const in = std::fopen(arguments[2], "rb");
    std::fseek(in, 0, SEEK_END);
    const size_t frames = size_t(std::ftell(in)) / (width * sizeof(float));
    std::rewind(in);
    std::vector<float> samples(width * frames);
    if (std::fread(samples.data(), sizeof(float), samples.size(), in) != samples.size())
        return 2;
    std::fclose(in);
    for (size_t at = 0; at < frames; at += block) {
        float* const channels[] = {samples.data() + at, samples.data() + (width - 1) * frames + at};
        const int64_t position = words.count("rolling") != 0 ? int64_t(at) : Instance::kStands;
        instance.process(channels, uint32_t(std::min<size_t>(block, frames - at)), position);
    }
    instance.tell();
    FILE* const out = std::fopen(arguments[3], "wb");
    std::fwrite(samples.data(), sizeof(float), samples.size(), out);
    std::fclose(out);

    instance.set(after);
    const auto began = std::chrono::steady_clock::now();
    bool waits = !after.empty() || !until.empty();
    while (waits && std::chrono::steady_clock::now() - began < std::chrono::seconds(60)) {
        std::fill(silence.begin(), silence.end(), 0.f);
        instance.process(silent, block);
        waits = !until.empty() && instance.value(until[0].first) != until[0].second;
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    instance.tell();
    instance.stop();
    return 0;
}
