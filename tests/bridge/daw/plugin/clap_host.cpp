// A small CLAP host: sends planar float samples through a plugin, and prints its parameters.
//
//   clap_host PLUGIN.clap IN.f32 OUT.f32 RATE BLOCK [WORD ...] [NAME=VALUE[@FRAME] ...]   at the start of the sound, or
// later   clap_host ... -- [locate=FRAME] [NAME=VALUE ...] [until NAME=TEXT]                    afterwards, in silence:
// 60 s at most
//
// Words: `offline` renders offline, `no-latency` has no clap.latency, `rolling` moves the transport from frame 0 on,
// `restored` passes the parameters only as a saved state, without setting them; `track=NAME` names the track,
// `project=FILE` opens the plugin with the state in that file, if any, and saves it there at the end; `locate=FRAME`
// moves the transport. It compensates for the plugin's reported latency, and fails if anything is heard before the
// sound can be. It prints the transport's frame at which the sound began, that latency, and a line NAME=TEXT for each
// parameter. host.py does the same with other hosts.
#include "clap_instance.hpp"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iterator>
#include <set>
#include <thread>

struct Change {
    size_t frame;
    std::string name;
    double value;
};

static Change change(const std::string& text)
{
    const size_t sign = text.find('='), at = text.find('@');
    return {at == std::string::npos ? 0 : size_t(std::atoll(text.c_str() + at + 1)), text.substr(0, sign),
        std::atof(text.c_str() + sign + 1)};
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

/// The bytes of a file; none if it does not exist.
static std::vector<char> fileOf(const std::string& path)
{
    std::ifstream file(path, std::ios::binary);
    return std::vector<char>(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
}

int main(int count, char** arguments)
{
    if (count < 6)
        return 2;
    const double rate = std::atof(arguments[4]);
    const uint32_t block = uint32_t(std::atoi(arguments[5]));
    std::set<std::string> words;
    std::string track, until, text, project;
    Settings during, after;
    std::vector<Change> later;
    int64_t located = Instance::kStands;
    bool isOver = false;
    for (int i = 6; i < count; ++i) {
        const std::string word = arguments[i];
        if (word == "--")
            isOver = true;
        else if (word == "until") {
            const std::string awaited = arguments[++i];
            until = awaited.substr(0, awaited.find('='));
            text = awaited.substr(awaited.find('=') + 1);
        } else if (word.compare(0, 6, "track=") == 0)
            track = word.substr(6);
        else if (word.compare(0, 8, "project=") == 0)
            project = word.substr(8);
        else if (word.compare(0, 7, "locate=") == 0)
            located = std::atoll(word.c_str() + 7);
        else if (word.find('=') == std::string::npos)
            words.insert(word);
        else if (isOver)
            after.emplace_back(change(word).name, change(word).value);
        else if (change(word).frame == 0)
            during.emplace_back(change(word).name, change(word).value);
        else
            later.push_back(change(word));
    }

    const Library library(arguments[1]);
    Instance instance(library, track, words.count("no-latency") == 0);
    if (words.count("restored") != 0)
        instance.load(savedWith(library, during, rate, block));
    if (!project.empty())
        instance.load(fileOf(project));
    instance.start(rate, block, words.count("offline") != 0);

    const uint32_t width = instance.channels;
    std::vector<float> silence(width * block);
    float* const silent[] = {silence.data(), silence.data() + (width - 1) * block};
    if (words.count("restored") == 0) {
        instance.process(silent, block); // as a user sets parameters by hand while the plugin runs
        instance.set(during);
        instance.process(silent, 0);
        for (const auto& setting : during)
            if (setting.first == "Restore") // the plugin reports another latency once sound passes
                instance.process(silent, block);
    }

    FILE* const in = std::fopen(arguments[2], "rb");
    std::fseek(in, 0, SEEK_END);
    const size_t frames = size_t(std::ftell(in)) / (width * sizeof(float)), delay = instance.latency(), all = frames + delay;
    std::rewind(in);
    std::vector<float> samples(width * all);
    for (uint32_t channel = 0; channel < width; ++channel)
        if (std::fread(samples.data() + channel * all, sizeof(float), frames, in) != frames)
            return 2;
    std::fclose(in);
    const bool rolls = words.count("rolling") != 0;
    for (size_t at = 0; at < all; at += block) {
        float* const channels[] = {samples.data() + at, samples.data() + (width - 1) * all + at};
        for (const Change& each : later)
            if (each.frame >= at && each.frame < at + block)
                instance.set({{each.name, each.value}});
        instance.process(channels, uint32_t(std::min<size_t>(block, all - at)), rolls ? int64_t(at) : Instance::kStands);
    }
    FILE* const out = std::fopen(arguments[3], "wb");
    for (uint32_t channel = 0; channel < width; ++channel) {
        const float* const heard = samples.data() + channel * all;
        if (std::any_of(heard, heard + delay, [](float sample) { return sample != 0; })) {
            std::fprintf(stderr, "something is heard before the sound can be\n");
            return 3;
        }
        std::fwrite(heard + delay, sizeof(float), frames, out);
    }
    std::fclose(out);

    instance.set(after);
    const auto began = std::chrono::steady_clock::now();
    bool waits = !after.empty() || !until.empty() || located != Instance::kStands;
    int64_t position = located; // the transport stops after the sound
    while (waits && std::chrono::steady_clock::now() - began < std::chrono::seconds(60)) {
        std::fill(silence.begin(), silence.end(), 0.f);
        instance.process(silent, block, position);
        if (position != Instance::kStands)
            position += block;
        waits = !until.empty() && instance.text(until) != text;
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    std::printf("Began=0\nLatency=%u\n", instance.latency());
    instance.tell();
    if (!project.empty()) {
        const std::vector<char> state = instance.saved();
        std::ofstream(project, std::ios::binary).write(state.data(), std::streamsize(state.size()));
    }
    instance.stop();
    return 0;
}
