// A session of many Airband Sends on as many tracks, whose transport plays a loop.
//
//   send_session PLUGIN.clap TRACKS FIRST_PASS PASSES FRAMES START [delivered N | stay | rest]
//
// Each pass plays FRAMES frames from the transport's frame START + 1000 * (pass % 2) on, in blocks of 480, about ten
// times as fast as the clock, and makes one take on each track. Sample n of channel c of a pass is
// ((7919 n + 104729 track + 1299709 pass + 15485863 c) % 65536) / 65536 - 1/2. Then it waits until all tracks together
// have delivered N takes, or for ever, or does nothing. Prints PLAYED when all passes are through, and how many seconds
// the instances took to end.
#include "clap_instance.hpp"

#include <algorithm>
#include <chrono>
#include <memory>
#include <thread>
#include <unistd.h>

static constexpr uint32_t kBlock = 480;
static constexpr double kRate = 48000;

static float sample(int64_t n, int64_t track, int64_t pass, int64_t channel)
{
    return float((7919 * n + 104729 * track + 1299709 * pass + 15485863 * channel) % 65536) / 65536.f - 0.5f;
}

using Tracks = std::vector<std::unique_ptr<Instance>>;

static void idle(Tracks& tracks)
{
    std::vector<float> silence(2 * kBlock);
    float* const silent[] = {silence.data(), silence.data() + kBlock};
    for (auto& track : tracks)
        track->process(silent, kBlock);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
}

static void play(Tracks& tracks, int64_t pass, int64_t frames, int64_t start)
{
    std::vector<float> sound(2 * kBlock);
    float* const channels[] = {sound.data(), sound.data() + kBlock};
    for (int64_t at = 0; at < frames; at += kBlock) {
        const uint32_t count = uint32_t(std::min<int64_t>(kBlock, frames - at));
        for (size_t track = 0; track < tracks.size(); ++track) {
            for (uint32_t i = 0; i < count; ++i)
                for (uint32_t channel = 0; channel < 2; ++channel)
                    channels[channel][i] = sample(at + i, int64_t(track), pass, channel);
            tracks[track]->process(channels, count, start + 1000 * (pass % 2) + at);
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
}

int main(int count, char** arguments)
{
    if (count < 8)
        return 2;
    const Library library(arguments[1]);
    const int64_t passes = std::atoll(arguments[4]), first = std::atoll(arguments[3]);
    const int64_t frames = std::atoll(arguments[5]), start = std::atoll(arguments[6]);
    Tracks tracks;
    for (int track = 0; track < std::atoi(arguments[2]); ++track) {
        tracks.emplace_back(new Instance(library, "Track " + std::to_string(track)));
        tracks.back()->start(kRate, kBlock);
    }
    idle(tracks);
    for (auto& track : tracks)
        track->set({{"Armed", 1}, {"Follow transport", 1}});
    idle(tracks);
    for (int64_t pass = first; pass < first + passes; ++pass)
        play(tracks, pass, frames, start);
    idle(tracks);
    std::printf("PLAYED\n");
    std::fflush(stdout);

    if (std::string(arguments[7]) == "rest")
        pause();
    const bool stays = std::string(arguments[7]) == "stay";
    const double awaited = stays || count < 9 ? INFINITY : std::atof(arguments[8]);
    for (double delivered = 0; delivered < awaited;) {
        delivered = 0;
        for (auto& track : tracks)
            delivered += track->value("Delivered");
        idle(tracks);
    }
    const auto began = std::chrono::steady_clock::now();
    for (auto& track : tracks)
        track->stop();
    tracks.clear();
    std::printf("ENDED %g\n", std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count());
    return 0;
}
