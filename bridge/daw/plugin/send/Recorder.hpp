#pragma once
#include "Outbox.hpp"
#include "Ring.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

/// Records from the audio thread to takes on disk.
///
/// The audio thread calls begin, write and end. They copy into preallocated rings and never wait, except if the host
/// runs ahead of the clock, as in offline exports: then they wait for room in a full ring. The recorder's own thread
/// empties the rings and passes every finished take to `onTake`.
class Recorder {
public:
    using OnTake = std::function<void(const Take&)>;
    using Tell = std::function<airband::Knobs()>;
    using Track = std::function<std::string()>;

    /// `knobs` and `track` are called on the recorder's thread.
    Recorder(Outbox& outbox, Tell knobs, Track track, OnTake onTake);
    /// Finishes the current take, if any.
    ~Recorder();

    void begin(double rate, int64_t position);
    void write(const float* const* samples, uint32_t frames);
    void end();

    bool recording() const { return fRecording; }
    /// Seconds of the current take, or of the last one.
    float seconds() const { return fSeconds; }
    /// Whether the outbox refused to store more of the last take.
    bool full() const { return fFull; }

private:
    struct Frame {
        float samples[Take::kChannels];
    };
    /// The begin or end of a take, by the count of frames written before it.
    struct Mark {
        uint64_t at;
        bool begins, cut;
        double rate;
        int64_t position;
    };

    double aheadS() const;
    bool waitsForRoom() const;
    void finish(bool cut);
    void open(const Mark& mark);
    void close(const char* cut);
    void empty();
    void store(uint64_t frames);
    void run();

    Outbox& fOutbox;
    const Tell fKnobs;
    const Track fTrack;
    const OnTake fOnTake;
    Ring<Frame> fFrames;
    Ring<Mark> fMarks;
    uint64_t fWritten = 0;                           // audio thread, like the next four
    double fRate = 0;
    uint64_t fBegan = 0;
    uint64_t fPaced = 0;                             // frames and time from which the host's pace is measured
    std::chrono::steady_clock::time_point fPacedTime;
    std::atomic<bool> fRecording{false}, fFull{false};
    std::atomic<float> fSeconds{0};
    std::unique_ptr<Capture> fCapture;               // own thread, like the next three
    uint64_t fStored = 0;
    uint64_t fUnlooked = 0;                          // bytes since the last check of the folder's room
    std::vector<Frame> fBlock;
    bool fQuit = false;                              // under the mutex
    std::mutex fMutex;
    std::condition_variable fChanged;
    std::thread fThread;
};
