// A CLAP host that treats Airband's plugins roughly, and reports how they took it.
//
//   rough_clap PLUGIN.clap CASE
//
// Cases: `real-time` switches all parameters while sound passes in real time, and prints how often the audio thread
// allocated, freed or waited, and the median CPU time of a block that switches; `count` allocates on purpose and prints
// the count, to validate the counter; `values`, `states` and `rates` pass invalid parameters, states and sample rates;
// `versions` passes states of older and newer versions, `locale` one in a host whose locale (from the environment) has
// a decimal comma; `count-in` and `nowhere` play through an armed Send from before frame 0, or without reporting a
// position, and `other-rate` once more at 44.1 kHz; `leave` ends Render during a window, and prints how long that took
// and whether the audio thread was left inside; `reset` tells Render that the sound so far is over, and prints how loud
// it is afterwards.
#include "clap_instance.hpp"

#include <atomic>
#include <chrono>
#include <clocale>
#include <sys/resource.h>
#include <thread>
#include <time.h>

static constexpr uint32_t kBlock = 64;
static constexpr double kRate = 48000;

static thread_local bool isWatched = false;
static std::atomic<int> allocations{0};

// Catches what plugins allocate: this program is linked with -rdynamic.
extern "C" {
void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void __libc_free(void*);

void* malloc(size_t bytes)
{
    allocations += isWatched;
    return __libc_malloc(bytes);
}
void* calloc(size_t count, size_t bytes)
{
    allocations += isWatched;
    return __libc_calloc(count, bytes);
}
void* realloc(void* before, size_t bytes)
{
    allocations += isWatched;
    return __libc_realloc(before, bytes);
}
void free(void* memory)
{
    allocations += isWatched && memory != nullptr;
    __libc_free(memory);
}
}

struct Sound {
    Sound(uint32_t channels_, uint32_t frames_) : frames(frames_), samples(channels_ * frames_)
    {
        for (uint32_t channel = 0; channel < channels_; ++channel)
            channels.push_back(samples.data() + channel * frames_);
    }

    void fill(float value) { std::fill(samples.begin(), samples.end(), value); }

    const uint32_t frames;
    std::vector<float> samples;
    std::vector<float*> channels;
};

static bool isSend(const char* path)
{
    return std::strstr(path, "Send") != nullptr;
}

static void run(Instance& instance, Sound& sound, int64_t position = Instance::kStands)
{
    instance.process(sound.channels.data(), sound.frames, position);
}

static long waits()
{
    rusage used;
    getrusage(RUSAGE_THREAD, &used);
    return used.ru_nvcsw;
}

/// Processes one block under observation; returns its CPU time, in ms.
static double watched(Instance& instance, Sound& sound, int64_t position)
{
    timespec before, after;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
    isWatched = true;
    run(instance, sound, position);
    isWatched = false;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
    return 1e3 * double(after.tv_sec - before.tv_sec) + 1e-6 * double(after.tv_nsec - before.tv_nsec);
}

static void realTime(Instance& instance, bool send)
{
    const Settings renders[] = {{{"Restore", 0}}, {{"Restore", 1}, {"Cutoff", 9000}, {"Bypass", 1}},
        {{"Restore", 0}, {"One cutoff", 1}}, {{"Restore", 1}, {"Seed", 7}, {"Bypass", 0}}};
    const Settings sends[] = {{{"Armed", 1}}, {{"Follow transport", 1}, {"Preset", 1}}, {{"Armed", 0}},
        {{"Follow transport", 0}, {"Cutoff", 9000}}};
    Sound sound(instance.channels, kBlock);
    long waited = 0;
    std::vector<double> switching;
    for (int block = 0; block < 1000; ++block) {
        sound.fill(0.25f);
        if (block % 20 == 0)
            instance.set((send ? sends : renders)[block / 20 % 4]);
        if (block % 170 == 0)
            instance.reset();
        const int64_t position = block % 90 < 60 ? block % 50 * kBlock : Instance::kStands; // loops, then stops
        const long before = waits();
        const double took = watched(instance, sound, position);
        waited += waits() - before;
        if (block % 20 == 0)
            switching.push_back(took);
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    std::nth_element(switching.begin(), switching.begin() + int64_t(switching.size() / 2), switching.end());
    std::printf("allocations=%d waits=%ld switching_ms=%g\n", allocations.load(), waited, switching[switching.size() / 2]);
}

static void countAllocations(Instance& instance)
{
    Sound sound(instance.channels, uint32_t(4 * kRate));
    sound.fill(0.25f);
    instance.set({{"Restore", 2}});
    watched(instance, sound, Instance::kStands); // one window, for which it looks for an engine
    std::printf("allocations=%d\n", allocations.load());
}

static void values(Instance& instance)
{
    Sound sound(instance.channels, kBlock);
    for (const double value : {double(NAN), double(INFINITY), -double(INFINITY), 1e30, -1e30, 0.5, 4294967296.0}) {
        for (uint32_t id = 0; id < instance.count(); ++id)
            instance.set(id, value);
        for (const uint32_t id : {instance.count(), 100000u, UINT32_MAX})
            instance.set(id, value);
        run(instance, sound);
        if (!instance.isSane())
            std::printf("after %g a parameter has a value that it cannot have\n", value);
    }
}

static std::vector<char> bytes(const std::string& text)
{
    return {text.begin(), text.end()};
}

static std::vector<char> stateOf(const std::vector<std::string>& words)
{
    std::string text = "__dpf_parameters_begin__";
    for (const std::string& word : words)
        text += '\0' + word;
    return bytes(text + '\0' + "__dpf_parameters_end__" + '\0' + '\xfe');
}

static void states(const Library& library, Instance& instance)
{
    Sound sound(instance.channels, kBlock);
    instance.set({{"Cutoff", 12345}, {"Seed", 77}});
    run(instance, sound);
    const std::vector<char> whole = instance.saved();
    for (const size_t piece : {1, 2, 3, 7, 64, 510, 511, 512}) {
        Instance other(library);
        if (instance.saved(piece) != whole)
            std::printf("a state that is taken in pieces of %zu bytes is another\n", piece);
        if (!other.load(whole, piece) || other.value("Cutoff") != 12345 || other.value("Seed") != 77)
            std::printf("a state in pieces of %zu bytes is lost\n", piece);
    }
    for (size_t length = 0; length < whole.size(); ++length)
        instance.load({whole.begin(), whole.begin() + int64_t(length)});
    uint32_t chance = 1;
    for (int round = 0; round < 2000; ++round) {
        std::vector<char> damaged = whole;
        for (int change = 0; change < 8; ++change) {
            chance = chance * 1664525 + 1013904223;
            damaged[(chance >> 8) % damaged.size()] = char(chance >> 24);
        }
        instance.load(damaged, 1 + round % 600);
        run(instance, sound);
    }
    instance.load(stateOf({"cutoff", "nan", "high_gain", "-inf", "seed", "-99999999999999999999", "restore", "7", "armed",
        "1e38", "preset", "4294967295", "model", "", "", "", "freewheel", "NaN"}));
    run(instance, sound);
    if (!instance.isSane())
        std::printf("a state gave a parameter a value that it cannot have\n");
    if (instance.load(std::vector<char>(size_t(64) << 20, 'x')))
        std::printf("64 MB of nothing were taken for a state\n");
}

/// Parameters missing in a state stay as they are; unknown ones in a state are ignored.
static void versions(Instance& instance)
{
    instance.load(stateOf({"seed", "5", "cutoff", "7000"}));
    instance.load(stateOf({"warmth", "0.7", "cutoff", "9000"}));
    std::printf("seed=%g cutoff=%g sane=%d\n", instance.value("Seed"), instance.value("Cutoff"), instance.isSane());
}

static void locale(const Library& library, Instance& instance)
{
    const bool has = std::setlocale(LC_ALL, "") != nullptr && *std::localeconv()->decimal_point == ',';
    Sound sound(instance.channels, kBlock);
    instance.set({{"High gain", -4.75}, {"Cutoff", 8000.5}});
    run(instance, sound);
    Instance other(library);
    other.load(instance.saved());
    std::printf("comma=%d gain=%d cutoff=%d\n", has, other.value("High gain") == -4.75, other.value("Cutoff") == 8000.5);
}

static void rates(const Library& library, bool send)
{
    for (const double rate : {0.0, 1.0, 11.0, -48000.0, 1e12, double(NAN), kRate}) {
        Instance instance(library);
        Sound sound(instance.channels, kBlock);
        instance.start(rate, kBlock, true);
        instance.set({{send ? "Armed" : "Cutoff", 1}});
        for (int block = 0; block < 20; ++block) {
            sound.fill(0.25f);
            run(instance, sound, block * int64_t(kBlock));
        }
        instance.stop();
    }
}

/// `moves`: how many frames the transport moves per block.
static void playFrom(Instance& instance, int64_t first, int64_t moves = kBlock)
{
    Sound sound(instance.channels, kBlock);
    run(instance, sound);
    instance.set({{"Armed", 1}});
    for (int64_t block = 0; block < 500; ++block) {
        sound.fill(0.25f);
        run(instance, sound, first == Instance::kNowhere ? first : first + block * moves);
        std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
    instance.set({{"Armed", 0}});
    run(instance, sound);
}

/// Plays at the initial rate, and then at another.
static void playOnAt(Instance& instance, double rate)
{
    Sound sound(instance.channels, kBlock);
    run(instance, sound);
    instance.set({{"Armed", 1}});
    for (int64_t block = 0; block < 200; ++block) {
        if (block == 100) {
            instance.stop();
            instance.start(rate, 2 * kBlock);
        }
        sound.fill(0.25f);
        run(instance, sound, block * kBlock);
    }
}

static void leave(Instance& instance)
{
    Sound sound(instance.channels, uint32_t(4 * kRate));
    for (size_t i = 0; i < sound.samples.size(); ++i)
        sound.samples[i] = float((7919 * i) % 65536) / 65536.f - 0.5f;
    std::atomic<bool> inside{true};
    std::thread audio([&] {
        run(instance, sound);
        inside = false;
    });
    std::this_thread::sleep_for(std::chrono::seconds(2));
    const bool began = inside;
    const auto before = std::chrono::steady_clock::now();
    instance.stop();
    const double took = std::chrono::duration<double>(std::chrono::steady_clock::now() - before).count();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    std::printf("under way=%d took=%g left inside=%d\n", began, took, inside.load());
    audio.join();
}

static void reset(Instance& instance)
{
    Sound sound(instance.channels, uint32_t(2 * kRate));
    sound.fill(0.25f);
    run(instance, sound);
    instance.reset();
    sound.fill(0);
    float peak = 0;
    for (int second = 0; second < 10; second += 2) {
        run(instance, sound);
        for (const float sample : sound.samples)
            peak = std::max(peak, std::abs(sample));
        sound.fill(0);
    }
    std::printf("peak=%g\n", double(peak));
}

int main(int count, char** arguments)
{
    if (count != 3)
        return 2;
    const Library library(arguments[1]);
    const std::string which = arguments[2];
    if (which == "rates") {
        rates(library, isSend(arguments[1]));
        std::printf("SURVIVED\n");
        return 0;
    }
    Instance instance(library);
    instance.start(kRate, kBlock, which == "leave");
    if (which == "real-time")
        realTime(instance, isSend(arguments[1]));
    else if (which == "count")
        countAllocations(instance);
    else if (which == "values")
        values(instance);
    else if (which == "states")
        states(library, instance);
    else if (which == "versions")
        versions(instance);
    else if (which == "locale")
        locale(library, instance);
    else if (which == "count-in")
        playFrom(instance, -16000);
    else if (which == "nowhere")
        playFrom(instance, Instance::kNowhere);
    else if (which == "half-speed")
        playFrom(instance, 48000, kBlock / 2);
    else if (which == "double-speed")
        playFrom(instance, 48000, 2 * kBlock);
    else if (which == "other-rate")
        playOnAt(instance, 44100);
    else if (which == "reset")
        reset(instance);
    if (which == "leave")
        leave(instance);
    else
        instance.stop();
    std::printf("SURVIVED\n");
    return 0;
}
