#pragma once
#include "Ring.hpp"
#include "Take.hpp"

#include <atomic>
#include <functional>
#include <memory>
#include <thread>

/// Carries sound from the audio thread to takes on disk.
///
/// The audio thread calls begin, write and end: they copy into rings that were allocated before, and never wait.
/// A thread of the recorder's own empties the rings and hands every finished take to `onTake`.
class Recorder {
public:
    using OnTake = std::function<void(std::unique_ptr<Take>)>;

    explicit Recorder(OnTake onTake);
    /// Finishes the take under way, if any.
    ~Recorder();

    void begin(double rate, int64_t position);
    void write(const float* const* samples, uint32_t frames);
    void end();

    bool recording() const { return fRecording; }
    /// Seconds of the take under way, or of the last one.
    float seconds() const { return fSeconds; }
    /// Whether the last take has a gap, because sound came faster than it could be stored; it is not sent.
    bool overrun() const { return fOverrun; }

private:
    struct Frame {
        float samples[Take::kChannels];
    };
    /// Where a take begins or ends, by the count of frames written before it.
    struct Mark {
        uint64_t at;
        bool begins;
        double rate;
        int64_t position;
    };

    void empty();
    void store(uint64_t frames);
    void run();

    const OnTake fOnTake;
    Ring<Frame> fFrames;
    Ring<Mark> fMarks;
    uint64_t fWritten = 0;          // audio thread
    double fRate = 0;               // audio thread
    uint64_t fBegan = 0;            // audio thread
    std::atomic<bool> fRecording{false}, fOverrun{false}, fQuit{false};
    std::atomic<float> fSeconds{0};
    std::unique_ptr<Take> fTake;    // own thread, like all below
    uint64_t fStored = 0;
    std::vector<float> fBlock[Take::kChannels];
    std::thread fThread;
};
