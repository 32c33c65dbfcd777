#include "Recorder.hpp"

#include <algorithm>
#include <chrono>

static constexpr size_t kRingFrames = size_t(1) << 22; // 87 s at 48 kHz: offline hosts run far ahead of the clock
static constexpr size_t kRingMarks = 64;
static constexpr uint64_t kBlockFrames = 8192;
static constexpr int kNapMs = 5;

Recorder::Recorder(OnTake onTake) : fOnTake(std::move(onTake)), fFrames(kRingFrames), fMarks(kRingMarks)
{
    for (std::vector<float>& channel : fBlock)
        channel.resize(kBlockFrames);
    fThread = std::thread([this] { run(); });
}

Recorder::~Recorder()
{
    end();
    fQuit = true;
    fThread.join();
}

void Recorder::begin(double rate, int64_t position)
{
    fOverrun = !fMarks.push({fWritten, true, rate, position});
    fRate = rate;
    fBegan = fWritten;
    fSeconds = 0;
    fRecording = true;
}

void Recorder::write(const float* const* samples, uint32_t frames)
{
    for (uint32_t i = 0; i < frames && !fOverrun; ++i) {
        if (fFrames.push({{samples[0][i], samples[1][i]}}))
            ++fWritten;
        else
            fOverrun = true;
    }
    fSeconds = float(double(fWritten - fBegan) / fRate);
}

void Recorder::end()
{
    if (!fRecording)
        return;
    fRecording = false;
    if (!fMarks.push({fWritten, false, 0, 0}))
        fOverrun = true;
}

/// Stores the next `frames` frames, which are available.
void Recorder::store(uint64_t frames)
{
    while (frames > 0) {
        const uint32_t count = uint32_t(std::min(frames, kBlockFrames));
        for (uint32_t i = 0; i < count; ++i, fFrames.pop())
            for (uint32_t channel = 0; channel < Take::kChannels; ++channel)
                fBlock[channel][i] = fFrames.front().samples[channel];
        const float* const block[] = {fBlock[0].data(), fBlock[1].data()};
        if (fTake)
            fTake->append(block, count);
        fStored += count;
        frames -= count;
    }
}

void Recorder::empty()
{
    // The frames are counted first: whatever mark lies among them was written before the last of them, and is seen.
    const uint64_t until = fStored + fFrames.available();
    while (fMarks.available() > 0 && fMarks.front().at <= until) {
        const Mark mark = fMarks.front();
        fMarks.pop();
        store(mark.at - fStored);
        if (mark.begins)
            fTake.reset(new Take(uint32_t(mark.rate + 0.5), mark.position));
        else if (fTake && fTake->frames > 0 && !fOverrun)
            fOnTake(std::move(fTake));
        else
            fTake.reset();
    }
    if (until > fStored)
        store(until - fStored);
}

void Recorder::run()
{
    while (!fQuit) {
        empty();
        std::this_thread::sleep_for(std::chrono::milliseconds(kNapMs));
    }
    empty();
}
