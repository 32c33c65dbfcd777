#include "WaveFile.hpp"

#include <algorithm>
#include <cstring>
#include <ctime>

static constexpr uint64_t kLargestRiff = 0xFFFFFFFFu;
static constexpr size_t kBextBytes = 602, kDs64Bytes = 28, kFormatBytes = 16, kFactBytes = 4, kChunkHead = 8;

namespace {

struct Bytes {
    std::vector<char> all;

    void raw(const char* from, size_t count) { all.insert(all.end(), from, from + count); }
    void text(const std::string& value, size_t width)
    {
        raw(value.data(), std::min(value.size(), width));
        all.resize(all.size() + width - std::min(value.size(), width));
    }
    void number(uint64_t value, size_t width)
    {
        for (size_t byte = 0; byte < width; ++byte)
            all.push_back(char(value >> (8 * byte) & 0xFF));
    }
    void chunk(const char* name, uint64_t size)
    {
        raw(name, 4);
        number(size, 4);
    }
};

} // namespace

static std::string escaped(const std::string& text)
{
    std::string out;
    for (const char letter : text) // the outbox has already removed control characters
        out += letter == '&' ? "&amp;" : letter == '<' ? "&lt;" : letter == '>' ? "&gt;" : std::string(1, letter);
    return out;
}

static std::string ixml(const WaveHead& head)
{
    const uint64_t position = uint64_t(std::max<int64_t>(head.position, 0));
    std::string text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<BWFXML><IXML_VERSION>1.61</IXML_VERSION><SCENE>"
        + escaped(head.scene) + "</SCENE><SPEED><FILE_SAMPLE_RATE>" + std::to_string(head.rate)
        + "</FILE_SAMPLE_RATE><TIMESTAMP_SAMPLE_RATE>" + std::to_string(head.rate)
        + "</TIMESTAMP_SAMPLE_RATE><TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_HI>" + std::to_string(position >> 32)
        + "</TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_HI><TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_LO>"
        + std::to_string(position & 0xFFFFFFFFu) + "</TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_LO></SPEED><TRACK_LIST><TRACK_COUNT>"
        + std::to_string(head.channels) + "</TRACK_COUNT>";
    for (uint32_t channel = 1; channel <= head.channels; ++channel)
        text += "<TRACK><CHANNEL_INDEX>" + std::to_string(channel) + "</CHANNEL_INDEX><NAME>" + escaped(head.track)
            + "</NAME></TRACK>";
    return text + "</TRACK_LIST></BWFXML>";
}

/// Text for bext, with ? for characters outside ASCII; iXML has it unchanged.
static std::string ascii(const std::string& text)
{
    std::string out;
    for (const char letter : text)
        if ((letter & 0xC0) != 0x80) // skip the rest of a UTF-8 character
            out += (letter & 0x80) != 0 ? '?' : letter;
    return out;
}

static void appendBext(Bytes& out, const WaveHead& head)
{
    const std::time_t now = std::time(nullptr);
    std::tm local;
    char date[16], time[16];
    localtime_r(&now, &local);
    std::strftime(date, sizeof date, "%Y-%m-%d", &local);
    std::strftime(time, sizeof time, "%H:%M:%S", &local);
    out.chunk("bext", kBextBytes);
    out.text(ascii(head.track), 256); // Description
    out.text("Airband Send", 32);  // Originator
    out.text("", 32);              // OriginatorReference
    out.text(date, 10);
    out.text(time, 8);
    out.number(uint64_t(std::max<int64_t>(head.position, 0)), 8);
    out.number(1, 2);              // version 1: no loudness
    out.text("", 64 + 190);        // UMID, reserved
}

std::vector<char> WaveHead::bytes() const
{
    const uint64_t data = frames * channels * sizeof(float), riff = kWaveHeadBytes - kChunkHead + data;
    const bool large = riff > kLargestRiff;
    Bytes out;
    out.chunk(large ? "RF64" : "RIFF", large ? kLargestRiff : riff);
    out.raw("WAVE", 4);
    out.chunk(large ? "ds64" : "JUNK", kDs64Bytes);
    for (const uint64_t size : {riff, data, frames})
        out.number(large ? size : 0, 8);
    out.number(0, 4);
    out.chunk("fmt ", kFormatBytes);
    out.number(3, 2); // IEEE float
    out.number(channels, 2);
    out.number(rate, 4);
    out.number(uint64_t(rate) * channels * sizeof(float), 4);
    out.number(channels * sizeof(float), 2);
    out.number(8 * sizeof(float), 2);
    out.chunk("fact", kFactBytes);
    out.number(std::min(frames, kLargestRiff), 4);
    appendBext(out, *this);
    const std::string about = ixml(*this);
    const size_t room = kWaveHeadBytes - out.all.size() - 2 * kChunkHead;
    out.chunk("iXML", room);
    out.text(about, room);
    out.chunk("data", std::min(data, kLargestRiff));
    return out.all;
}
