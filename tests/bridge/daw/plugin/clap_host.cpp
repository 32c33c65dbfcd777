// A small CLAP host: sends planar stereo float samples through a plugin, and tells its parameters.
//
//   clap_host PLUGIN.clap IN.f32 OUT.f32 RATE BLOCK [NAME=VALUE ...]     parameters while the sound passes
//   clap_host ... -- [NAME=VALUE ...]                                    parameters afterwards, while silence passes
//   clap_host ... -- ... until NAME=VALUE                                how long; 60 s at most
//
// It prints the latency and one line NAME=VALUE a parameter, once after the sound and once at the end.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <string>
#include <thread>
#include <vector>

#include "clap/entry.h"
#include "clap/ext/latency.h"
#include "clap/ext/params.h"
#include "clap/plugin-factory.h"

using Settings = std::vector<std::pair<std::string, double>>;

static void nothing(const clap_host_t*) {}

static const void* extension(const clap_host_t*, const char* id)
{
    static const clap_host_latency_t latency = {nothing};
    return std::strcmp(id, CLAP_EXT_LATENCY) == 0 ? &latency : nullptr;
}

struct Host {
    const clap_plugin_t* plugin;
    const clap_plugin_params_t* params;
    uint32_t block;
    std::vector<clap_event_param_value_t> events;

    clap_param_info_t find(const std::string& name) const
    {
        for (uint32_t index = 0; index < params->count(plugin); ++index) {
            clap_param_info_t info;
            if (params->get_info(plugin, index, &info) && name == info.name)
                return info;
        }
        std::fprintf(stderr, "no parameter %s\n", name.c_str());
        std::exit(2);
    }

    double value(const std::string& name) const
    {
        double found = NAN;
        params->get_value(plugin, find(name).id, &found);
        return found;
    }

    void tell() const
    {
        for (uint32_t index = 0; index < params->count(plugin); ++index) {
            clap_param_info_t info;
            params->get_info(plugin, index, &info);
            std::printf("%s=%g\n", info.name, value(info.name));
        }
    }

    void set(const Settings& settings)
    {
        events.clear();
        for (const auto& setting : settings) {
            clap_event_param_value_t event = {};
            event.header = {sizeof event, 0, CLAP_CORE_EVENT_SPACE_ID, CLAP_EVENT_PARAM_VALUE, 0};
            event.param_id = find(setting.first).id;
            event.note_id = event.port_index = event.channel = event.key = -1;
            event.value = setting.second;
            events.push_back(event);
        }
    }

    void process(float* const* channels, uint32_t frames)
    {
        clap_audio_buffer_t buffer = {const_cast<float**>(channels), nullptr, 2, 0, 0};
        const clap_input_events_t in = {&events,
            [](const clap_input_events_t* list) {
                return uint32_t(static_cast<std::vector<clap_event_param_value_t>*>(list->ctx)->size());
            },
            [](const clap_input_events_t* list, uint32_t index) {
                return static_cast<const clap_event_header_t*>(
                    &(*static_cast<std::vector<clap_event_param_value_t>*>(list->ctx))[index].header);
            }};
        const clap_output_events_t out
            = {nullptr, [](const clap_output_events_t*, const clap_event_header_t*) { return true; }};
        clap_process_t process = {};
        process.steady_time = -1;
        process.frames_count = frames;
        process.audio_inputs = process.audio_outputs = &buffer;
        process.audio_inputs_count = process.audio_outputs_count = 1;
        process.in_events = &in;
        process.out_events = &out;
        plugin->process(plugin, &process);
        events.clear();
    }
};

static std::pair<std::string, double> setting(const std::string& text)
{
    const size_t sign = text.find('=');
    return {text.substr(0, sign), std::atof(text.c_str() + sign + 1)};
}

int main(int count, char** arguments)
{
    if (count < 6)
        return 2;
    const double rate = std::atof(arguments[4]);
    Settings during, after, until;
    Settings* list = &during;
    for (int i = 6; i < count; ++i) {
        const std::string text = arguments[i];
        if (text == "--")
            list = &after;
        else if (text == "until")
            list = &until;
        else
            list->push_back(setting(text));
    }

    void* const library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
        std::fprintf(stderr, "%s\n", dlerror());
        return 2;
    }
    const auto entry = static_cast<const clap_plugin_entry_t*>(dlsym(library, "clap_entry"));
    entry->init(arguments[1]);
    const auto factory = static_cast<const clap_plugin_factory_t*>(entry->get_factory(CLAP_PLUGIN_FACTORY_ID));
    const clap_host_t about = {CLAP_VERSION, nullptr, "clap_host", "", "", "1", extension, nothing, nothing, nothing};
    const char* const id = factory->get_plugin_descriptor(factory, 0)->id;
    Host host = {factory->create_plugin(factory, &about, id), nullptr, uint32_t(std::atoi(arguments[5])), {}};
    host.plugin->init(host.plugin);
    host.params = static_cast<const clap_plugin_params_t*>(host.plugin->get_extension(host.plugin, CLAP_EXT_PARAMS));
    host.plugin->activate(host.plugin, rate, 1, host.block);
    const auto latency
        = static_cast<const clap_plugin_latency_t*>(host.plugin->get_extension(host.plugin, CLAP_EXT_LATENCY));
    std::printf("latency=%u\n", latency != nullptr ? latency->get(host.plugin) : 0);
    host.plugin->start_processing(host.plugin);

    FILE* const in = std::fopen(arguments[2], "rb");
    std::fseek(in, 0, SEEK_END);
    const size_t frames = size_t(std::ftell(in)) / (2 * sizeof(float));
    std::rewind(in);
    std::vector<float> samples(2 * frames);
    if (std::fread(samples.data(), sizeof(float), samples.size(), in) != samples.size())
        return 2;
    std::fclose(in);
    host.set(during);
    for (size_t at = 0; at < frames; at += host.block) {
        float* const channels[] = {samples.data() + at, samples.data() + frames + at};
        host.process(channels, uint32_t(std::min<size_t>(host.block, frames - at)));
    }
    host.tell();
    FILE* const out = std::fopen(arguments[3], "wb");
    std::fwrite(samples.data(), sizeof(float), samples.size(), out);
    std::fclose(out);

    host.set(after);
    std::vector<float> silence(2 * host.block);
    const auto began = std::chrono::steady_clock::now();
    bool waits = !after.empty() || !until.empty();
    while (waits && std::chrono::steady_clock::now() - began < std::chrono::seconds(60)) {
        std::fill(silence.begin(), silence.end(), 0.f);
        float* const channels[] = {silence.data(), silence.data() + host.block};
        host.process(channels, host.block);
        waits = !until.empty() && host.value(until[0].first) != until[0].second;
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    host.tell();
    host.plugin->stop_processing(host.plugin);
    host.plugin->deactivate(host.plugin);
    host.plugin->destroy(host.plugin);
    entry->deinit();
    return 0;
}
