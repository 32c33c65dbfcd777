#include "Client.hpp"
#include "Wire.hpp"

#include <algorithm>
#include <cstdlib>
#include <sodium.h>

namespace airband {

static constexpr int kVersion = 1;
static constexpr size_t kChunkBytes = 1024 * 1024;
static constexpr size_t kDigestBytes = 32;

std::string modelFromEnvironment()
{
    const char* const model = std::getenv("AIRBAND_MODEL");
    return model != nullptr && *model != '\0' ? model : "auto";
}

Client::Client(const char* name, const std::atomic<bool>& stop) : fWire(new Wire(readConnection(), stop))
{
    try {
        if (sodium_init() < 0)
            throw Refused("libsodium does not start");
        fWire->say({{"type", "hello"}, {"v", kVersion}, {"client", name}});
        fWire->models = fWire->hear("").header.value("models", Header::array());
    } catch (...) {
        delete fWire;
        throw;
    }
}

Client::~Client()
{
    try {
        fWire->say({{"type", "bye"}});
    } catch (const EngineAbsent&) {
    }
    delete fWire;
}

static Header parameters(const Layout& clip, const Knobs& knobs, const Header& models)
{
    Header params = {
        {"model", chooseModel(knobs.model, models)},
        {"seed", knobs.seed},
        {"high_gain_db", knobs.highGainDb},
    };
    for (const uint32_t rate : {44100u, 48000u, 88200u, 96000u})
        if (clip.rate == rate)
            params["rate"] = rate;
    if (knobs.cutoffHz > 0)
        params["cutoff"] = knobs.cutoffHz;
    if (knobs.start >= 0)
        params["start"] = std::to_string(knobs.start) + "smp";
    if (knobs.end >= 0)
        params["end"] = std::to_string(knobs.end) + "smp";
    return params;
}

void Client::submit(const std::string& job, const Layout& clip, const Read& read, const Knobs& knobs,
    const std::string& path)
{
    Header message = {
        {"type", "submit"},
        {"job", job},
        {"source",
            {{"kind", "pcm"},
                {"audio",
                    {{"rate", clip.rate}, {"channels", clip.channels}, {"frames", clip.frames}, {"dtype", "f4"}}}}},
        {"deliver", {{"kind", "pcm"}}},
        {"params", parameters(clip, knobs, fWire->models)},
    };
    if (!path.empty())
        message["deliver"] = {{"kind", "path"}, {"path", path}};
    for (;;) {
        fWire->say(message);
        const Message answer = fWire->hear(job);
        if (answer.type() == "busy")
            fWire->pause(answer.header.value("retry_s", 1.0));
        else if (answer.header.value("state", "") == "uploading")
            return upload(job, clip.bytes(), answer.header.value("offset", uint64_t(0)), read);
        else
            return;
    }
}

void Client::upload(const std::string& job, uint64_t total, uint64_t offset, const Read& read)
{
    crypto_generichash_state hash;
    crypto_generichash_init(&hash, nullptr, 0, kDigestBytes);
    std::vector<char> piece;
    const auto take = [&](uint64_t from, uint64_t to) {
        piece.resize(size_t(std::min<uint64_t>(kChunkBytes, to - from)));
        read(from, piece.data(), piece.size());
        crypto_generichash_update(&hash, reinterpret_cast<const unsigned char*>(piece.data()), piece.size());
        return from + piece.size();
    };
    for (uint64_t had = 0; had < offset;)
        had = take(had, offset);
    for (;;) {
        const Message news = fWire->hear(job);
        if (news.type() == "accepted" && news.header.value("state", "") != "uploading")
            return;
        if (news.type() != "grant")
            continue;
        const uint64_t granted = news.header.at("offset").get<uint64_t>() + news.header.at("bytes").get<uint64_t>();
        while (offset < std::min(granted, total)) {
            Header chunk = {{"type", "chunk"}, {"job", job}, {"offset", offset}};
            offset = take(offset, std::min(granted, total));
            if (offset == total) {
                unsigned char digest[kDigestBytes];
                char text[2 * kDigestBytes + 1];
                crypto_generichash_final(&hash, digest, sizeof digest);
                chunk["last"] = true;
                chunk["digest"] = sodium_bin2hex(text, sizeof text, digest, sizeof digest);
            }
            fWire->say(chunk, piece.data(), piece.size());
        }
    }
}

void Client::watch(const std::string& job, const OnProgress& onProgress)
{
    fWire->say({{"type", "watch"}, {"job", job}});
    for (;;) {
        const Message news = fWire->hear(job);
        if (news.type() == "progress" && news.header.value("of", 0) > 0)
            onProgress(float(news.header.value("step", 0)) / float(news.header.value("of", 1)));
        if (news.type() == "done")
            return;
        if (news.type() == "failed")
            throw Refused(news.header.value("message", "the render failed"));
        if (news.type() == "cancelled")
            throw Refused("the render was cancelled");
    }
}

void Client::fetch(const std::string& job, uint64_t bytes, const Write& write)
{
    for (uint64_t offset = 0; offset < bytes;) {
        fWire->say({{"type", "fetch"}, {"job", job}, {"stem", "full"}, {"offset", offset}, {"bytes", kChunkBytes}});
        const Message news = fWire->hear(job);
        if (news.type() != "data")
            continue;
        if (news.buffer.empty() || offset + news.buffer.size() > bytes)
            throw Refused("the result has not the length of the clip");
        write(offset, news.buffer.data(), news.buffer.size());
        offset += news.buffer.size();
    }
}

void Client::forget(const std::string& job)
{
    fWire->say({{"type", "forget"}, {"job", job}});
}

} // namespace airband
