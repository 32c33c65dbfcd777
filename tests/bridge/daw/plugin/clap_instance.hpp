// An instance of a CLAP plugin, for these tests' small hosts: parameters by name, state, transport, planar sound.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <string>
#include <vector>

#include "clap/entry.h"
#include "clap/ext/audio-ports.h"
#include "clap/ext/gui.h"
#include "clap/ext/latency.h"
#include "clap/ext/params.h"
#include "clap/ext/render.h"
#include "clap/ext/state.h"
#include "clap/ext/timer-support.h"
#include "clap/ext/track-info.h"
#include "clap/plugin-factory.h"

using Settings = std::vector<std::pair<std::string, double>>;

/// A plugin's file, opened.
struct Library {
    explicit Library(const char* path)
    {
        void* const library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (library == nullptr) {
            std::fprintf(stderr, "%s\n", dlerror());
            std::exit(2);
        }
        entry = static_cast<const clap_plugin_entry_t*>(dlsym(library, "clap_entry"));
        entry->init(path);
        factory = static_cast<const clap_plugin_factory_t*>(entry->get_factory(CLAP_PLUGIN_FACTORY_ID));
    }
    ~Library() { entry->deinit(); }

    const clap_plugin_entry_t* entry;
    const clap_plugin_factory_t* factory;
};

struct Instance {
    /// Special positions: the transport is stopped, or it plays but the host does not tell where.
    static constexpr int64_t kStands = INT64_MIN, kNowhere = INT64_MIN + 1;

    /// What the host reports: a track's name ("" for none), and whether it has clap.latency.
    Instance(const Library& library, const std::string& track_ = "", bool hasLatency_ = true)
        : track(track_), hasLatency(hasLatency_),
          about{CLAP_VERSION, this, "clap_host", "", "", "1", extension, nothing, nothing, nothing},
          plugin(library.factory->create_plugin(
              library.factory, &about, library.factory->get_plugin_descriptor(library.factory, 0)->id))
    {
        plugin->init(plugin);
        params = asked<clap_plugin_params_t>(CLAP_EXT_PARAMS);
        clap_audio_port_info_t port;
        asked<clap_plugin_audio_ports_t>(CLAP_EXT_AUDIO_PORTS)->get(plugin, 0, true, &port);
        channels = port.channel_count;
    }
    ~Instance() { plugin->destroy(plugin); }

    void start(double rate, uint32_t block, bool offline = false)
    {
        if (offline)
            asked<clap_plugin_render_t>(CLAP_EXT_RENDER)->set(plugin, CLAP_RENDER_OFFLINE);
        plugin->activate(plugin, rate, 1, block);
        plugin->start_processing(plugin);
        sampleRate = rate;
    }

    void stop()
    {
        plugin->stop_processing(plugin);
        plugin->deactivate(plugin);
    }

    uint32_t latency() const
    {
        const auto latency = asked<clap_plugin_latency_t>(CLAP_EXT_LATENCY);
        return latency != nullptr ? latency->get(plugin) : 0;
    }

    /// The plugin's state, written in pieces of so many bytes.
    std::vector<char> saved(size_t piece = SIZE_MAX) const
    {
        struct Taken {
            std::vector<char> all;
            size_t piece;
        } taken = {{}, piece};
        const clap_ostream_t stream = {&taken, [](const clap_ostream_t* out, const void* from, uint64_t count) {
            Taken& into = *static_cast<Taken*>(out->ctx);
            const size_t taking = std::min(size_t(count), into.piece);
            into.all.insert(into.all.end(), static_cast<const char*>(from), static_cast<const char*>(from) + taking);
            return int64_t(taking);
        }};
        asked<clap_plugin_state_t>(CLAP_EXT_STATE)->save(plugin, &stream);
        return taken.all;
    }

    /// Restores a state, in pieces of so many bytes; returns whether the plugin accepted it.
    bool load(const std::vector<char>& state, size_t piece = SIZE_MAX)
    {
        struct Left {
            const char* from;
            size_t count, piece;
        } left = {state.data(), state.size(), piece};
        const clap_istream_t stream = {&left, [](const clap_istream_t* in, void* into, uint64_t count) {
            Left& rest = *static_cast<Left*>(in->ctx);
            const size_t given = std::min({size_t(count), rest.count, rest.piece});
            std::copy_n(rest.from, given, static_cast<char*>(into));
            rest.from += given;
            rest.count -= given;
            return int64_t(given);
        }};
        return asked<clap_plugin_state_t>(CLAP_EXT_STATE)->load(plugin, &stream);
    }

    /// Resets the plugin: the sound so far is over.
    void reset() { plugin->reset(plugin); }

    double value(const std::string& name) const
    {
        double found = NAN;
        params->get_value(plugin, find(name).id, &found);
        return found;
    }

    /// A parameter's value as its user sees it.
    std::string text(const std::string& name) const
    {
        char said[256] = "";
        params->value_to_text(plugin, find(name).id, value(name), said, sizeof said);
        return said;
    }

    /// Whether every parameter has an allowed value.
    bool isSane() const
    {
        for (uint32_t index = 0; index < params->count(plugin); ++index) {
            clap_param_info_t info;
            params->get_info(plugin, index, &info);
            if (!(value(info.name) >= info.min_value && value(info.name) <= info.max_value))
                return false;
        }
        return true;
    }

    uint32_t count() const { return params->count(plugin); }

    void tell() const
    {
        for (uint32_t index = 0; index < params->count(plugin); ++index) {
            clap_param_info_t info;
            params->get_info(plugin, index, &info);
            std::printf("%s=%s\n", info.name, text(info.name).c_str());
        }
    }

    /// Sets parameters, from the next block on.
    void set(const Settings& settings)
    {
        events.clear();
        for (const auto& setting : settings)
            set(find(setting.first).id, setting.second);
    }

    /// Sets one more parameter, by its number.
    void set(uint32_t id, double value)
    {
        clap_event_param_value_t event = {};
        event.header = {sizeof event, 0, CLAP_CORE_EVENT_SPACE_ID, CLAP_EVENT_PARAM_VALUE, 0};
        event.param_id = id;
        event.note_id = event.port_index = event.channel = event.key = -1;
        event.value = value;
        events.push_back(event);
    }

    /// Processes one block in place. `position`: the frame of the transport.
    void process(float* const* sound, uint32_t frames, int64_t position = kStands)
    {
        clap_audio_buffer_t buffer = {const_cast<float**>(sound), nullptr, channels, 0, 0};
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
        clap_event_transport_t transport = {};
        transport.header = {sizeof transport, 0, CLAP_CORE_EVENT_SPACE_ID, CLAP_EVENT_TRANSPORT, 0};
        const bool tells = position != kNowhere;
        transport.flags = (tells ? CLAP_TRANSPORT_HAS_SECONDS_TIMELINE : 0)
            | (position != kStands ? CLAP_TRANSPORT_IS_PLAYING : 0);
        if (tells && position != kStands)
            transport.song_pos_seconds
                = clap_sectime(std::llround(double(position) / sampleRate * CLAP_SECTIME_FACTOR));
        clap_process_t process = {};
        process.steady_time = tells ? steady : -1;
        process.frames_count = frames;
        process.transport = &transport;
        process.audio_inputs = process.audio_outputs = &buffer;
        process.audio_inputs_count = process.audio_outputs_count = 1;
        process.in_events = &in;
        process.out_events = &out;
        plugin->process(plugin, &process);
        steady += frames;
        events.clear();
    }

    /// Embeds the plugin's window in another; false if it has none.
    bool showIn(unsigned long window)
    {
        const auto gui = asked<clap_plugin_gui_t>(CLAP_EXT_GUI);
        clap_window_t parent = {CLAP_WINDOW_API_X11, {}};
        parent.x11 = window;
        return gui != nullptr && gui->create(plugin, CLAP_WINDOW_API_X11, false) && gui->set_parent(plugin, &parent)
            && gui->show(plugin);
    }
    /// Lets time pass for the window.
    void tick() { asked<clap_plugin_timer_support_t>(CLAP_EXT_TIMER_SUPPORT)->on_timer(plugin, kTimer); }
    void closeWindow() { asked<clap_plugin_gui_t>(CLAP_EXT_GUI)->destroy(plugin); }

    uint32_t channels = 2;

private:
    static constexpr clap_id kTimer = 1;

    static void nothing(const clap_host_t*) {}

    static const void* extension(const clap_host_t* host, const char* id)
    {
        static const clap_host_latency_t latency = {nothing};
        static const clap_host_track_info_t trackInfo = {[](const clap_host_t* asking, clap_track_info_t* info) {
            const Instance& self = *static_cast<const Instance*>(asking->host_data);
            info->flags = self.track.empty() ? 0 : CLAP_TRACK_INFO_HAS_TRACK_NAME;
            std::memcpy(info->name, self.track.c_str(), std::min(sizeof info->name, self.track.size() + 1));
            return true;
        }};
        static const clap_host_gui_t gui = {nothing, [](const clap_host_t*, uint32_t, uint32_t) { return true; },
            [](const clap_host_t*) { return true; }, [](const clap_host_t*) { return true; },
            [](const clap_host_t*, bool) {}};
        static const clap_host_timer_support_t timers
            = {[](const clap_host_t*, uint32_t, clap_id* timer) { return (*timer = kTimer) == kTimer; },
                [](const clap_host_t*, clap_id) { return true; }};
        if (std::strcmp(id, CLAP_EXT_TRACK_INFO) == 0)
            return &trackInfo;
        if (std::strcmp(id, CLAP_EXT_GUI) == 0)
            return &gui;
        if (std::strcmp(id, CLAP_EXT_TIMER_SUPPORT) == 0)
            return &timers;
        const bool known = static_cast<const Instance*>(host->host_data)->hasLatency;
        return known && std::strcmp(id, CLAP_EXT_LATENCY) == 0 ? &latency : nullptr;
    }

    template <class T>
    const T* asked(const char* id) const
    {
        return static_cast<const T*>(plugin->get_extension(plugin, id));
    }

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

    const std::string track;
    const bool hasLatency;
    const clap_host_t about;
    const clap_plugin_t* const plugin;
    const clap_plugin_params_t* params = nullptr;
    std::vector<clap_event_param_value_t> events;
    double sampleRate = 48000;
    int64_t steady = 0;

    Instance(const Instance&) = delete;
};
