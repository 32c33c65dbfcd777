#include "Recorder.hpp"

#include <algorithm>

static constexpr size_t kRingFrames = size_t(1) << 18; // 2 MiB of stereo; 5.4 s at 48 kHz
static constexpr size_t kRingMarks = 1024;
static constexpr uint64_t kBlockFrames = 8192;
static constexpr uint64_t kLookEveryBytes = 32 << 20; // how often to check that the folder has room
static constexpr std::chrono::milliseconds kNap(10), kIdleNap(200);
static constexpr double kAheadS = 2; // a host this far ahead of the clock is not playing in real time
static constexpr std::chrono::seconds kLongestWait(10);

Recorder::Recorder(Outbox& outbox, Tell knobs, Track track, OnTake onTake)
    : fOutbox(outbox), fKnobs(std::move(knobs)), fTrack(std::move(track)), fOnTake(std::move(onTake)),
      fFrames(kRingFrames), fMarks(kRingMarks), fBlock(kBlockFrames), fThread([this] { run(); })
{
}

Recorder::~Recorder()
{
    end();
    {
        std::lock_guard<std::mutex> lock(fMutex);
        fQuit = true;
    }
    fChanged.notify_all();
    fThread.join();
}

void Recorder::begin(double rate, int64_t position)
{
    if (fMarks.room() < 2 || fFrames.room() == 0) // one mark is kept for the end
        return;
    fMarks.push({fWritten, true, false, rate, position});
    if (rate != fRate || aheadS() < 0) { // real time, or after a pause
        fPaced = fWritten;
        fPacedTime = std::chrono::steady_clock::now();
    }
    fRate = rate;
    fBegan = fWritten;
    fSeconds = 0;
    fRecording = true;
}

/// Seconds by which the takes since the host's last pause are ahead of the clock.
double Recorder::aheadS() const
{
    using namespace std::chrono;
    return double(fWritten - fPaced) / fRate - duration<double>(steady_clock::now() - fPacedTime).count();
}

/// Waits for room in the ring if the host runs ahead of the clock; whether there is room now.
bool Recorder::waitsForRoom() const
{
    using namespace std::chrono;
    const steady_clock::time_point now = steady_clock::now();
    if (aheadS() < kAheadS)
        return false;
    while (fFrames.room() == 0 && steady_clock::now() - now < kLongestWait)
        std::this_thread::sleep_for(milliseconds(1));
    return fFrames.room() > 0;
}

void Recorder::write(const float* const* samples, uint32_t frames)
{
    for (uint32_t i = 0; i < frames && fRecording; ++i) {
        Frame frame;
        for (uint32_t channel = 0; channel < Take::kChannels; ++channel)
            frame.samples[channel] = samples[channel][i];
        if (!fFrames.push(frame) && !(waitsForRoom() && fFrames.push(frame)))
            finish(true); // once there is room, the sound that follows becomes another take
        else
            ++fWritten;
    }
    if (fRate > 0)
        fSeconds = float(double(fWritten - fBegan) / fRate);
}

void Recorder::finish(bool cut)
{
    if (!fRecording)
        return;
    fRecording = false;
    fMarks.push({fWritten, false, cut, 0, 0});
}

void Recorder::end()
{
    finish(false);
}

void Recorder::open(const Mark& mark)
{
    fCapture = fOutbox.begin(uint32_t(mark.rate + 0.5), mark.position, fTrack(), fKnobs());
    fFull = !fCapture;
}

void Recorder::close(const char* cut)
{
    if (!fCapture)
        return;
    const Take take = fCapture->finish(cut, fKnobs());
    fCapture.reset();
    if (fOutbox.keep(take))
        fOnTake(take);
}

/// Stores the next `frames` frames, which must be available.
void Recorder::store(uint64_t frames)
{
    while (frames > 0) {
        const uint32_t count = uint32_t(std::min(frames, kBlockFrames));
        for (uint32_t i = 0; i < count; ++i, fFrames.pop())
            fBlock[i] = fFrames.front();
        if (fCapture && !fCapture->append(fBlock[0].samples, count)) {
            close("the disk took no more");
            fFull = true;
        }
        fStored += count;
        frames -= count;
        fUnlooked += count * sizeof(Frame);
        if (!fCapture || fUnlooked < kLookEveryBytes)
            continue;
        fUnlooked = 0;
        if (!fOutbox.takesMore()) {
            close("the folder took no more");
            fFull = true;
        }
    }
}

void Recorder::empty()
{
    // Frames are counted first: a mark among them was written before the last of them, so it will be seen.
    const uint64_t until = fStored + fFrames.available();
    while (fMarks.available() > 0 && fMarks.front().at <= until) {
        const Mark mark = fMarks.front();
        fMarks.pop();
        store(mark.at - fStored);
        if (mark.begins)
            open(mark);
        else
            close(mark.cut ? "sound came faster than the disk took it" : nullptr);
    }
    if (until > fStored)
        store(until - fStored);
}

void Recorder::run()
{
    for (;;) {
        empty();
        std::unique_lock<std::mutex> lock(fMutex);
        if (fQuit)
            break;
        fChanged.wait_for(lock, fRecording ? kNap : kIdleNap);
    }
    empty();
}
