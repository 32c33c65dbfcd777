#include "Client.hpp"
#include "Launcher.hpp"
#include "Wire.hpp"

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <sodium.h>

namespace airband {

static constexpr int kVersion = 1;
static constexpr const char* kPlainPreset = "music"; // its knobs are the engine's defaults
static constexpr size_t kChunkBytes = 1024 * 1024;
static constexpr size_t kDigestBytes = 32;

std::string modelFromEnvironment()
{
    const char* const model = std::getenv("AIRBAND_MODEL");
    return model != nullptr && *model != '\0' ? model : "auto";
}

Client::Client(const char* name, const std::atomic<bool>& stop, const Patience& patience, bool starts)
{
    if (sodium_init() < 0)
        throw Refused("libsodium does not start");
    try {
        fWire = greet(name, stop, patience);
    } catch (const EngineAbsent& absent) {
        if (!absent.none || !starts || !mayLaunch())
            throw;
        launch(stop);
        fWire = greet(name, stop, patience);
    }
}

Client::Wire* Client::greet(const char* name, const std::atomic<bool>& stop, const Patience& patience)
{
    std::unique_ptr<Wire> wire(new Wire(readConnection(), stop, patience));
    wire->say({{"type", "hello"}, {"v", kVersion}, {"client", name}});
    wire->models = wire->hear("").header.value("models", Header::array());
    return wire.release();
}

Client::~Client()
{
    try {
        fWire->say({{"type", "bye"}});
    } catch (const std::exception&) { // the engine has gone, or the host ends the plugin
    }
    delete fWire;
}

/// The rate of a result: the highest deliverable rate that divides the source's, or else 48 kHz.
static uint32_t resultRate(uint32_t rate)
{
    for (const uint32_t delivered : {96000u, 88200u, 48000u, 44100u})
        if (rate % delivered == 0)
            return delivered;
    return 48000;
}

/// A complete preset: the chosen one, with the knobs that the plugin sets.
static Header parameters(uint32_t rate, const Knobs& knobs, const Header& models, const std::atomic<bool>& stop)
{
    if (knobs.preset.empty())
        throw Refused("the preset that this project names by number is not known here");
    Header params = knobs.preset == kPlainPreset ? Header::object() : presetNamed(knobs.preset, stop);
    params["rate"] = resultRate(rate);
    params["format"] = "wav";
    params["bit_depth"] = 32;
    if (knobs.model.empty())
        throw Refused("the model that this project names by number is not known here");
    if (knobs.model != "auto" || params.value("model", "auto") == "auto")
        params["model"] = chooseModel(knobs.model, models);
    if (knobs.seed > 0)
        params["seed"] = knobs.seed;
    if (knobs.highGainDb != 0)
        params["high_gain_db"] = knobs.highGainDb;
    if (knobs.cutoffHz > 0)
        params["cutoff"] = knobs.cutoffHz;
    if (knobs.start >= 0)
        params["start"] = std::to_string(knobs.start) + "smp";
    if (knobs.end >= 0)
        params["end"] = std::to_string(knobs.end) + "smp";
    return params;
}

/// The source of a submit, and where its result goes.
struct Client::Order {
    Header source, deliver, params;
    std::string preset;
    uint64_t bytes;
};

void Client::submitSamples(const std::string& job, const Layout& clip, const Read& read, const Knobs& knobs)
{
    const Header audio = {{"rate", clip.rate}, {"channels", clip.channels}, {"frames", clip.frames}, {"dtype", "f4"}};
    submit(job,
        {{{"kind", "pcm"}, {"audio", audio}}, {{"kind", "pcm"}},
            parameters(clip.rate, knobs, fWire->models, fWire->stop), knobs.preset, clip.bytes()},
        read);
}

void Client::submitFile(const std::string& job, const std::string& name, uint64_t bytes, uint32_t rate,
    const Read& read, const Knobs& knobs, const std::string& path)
{
    submit(job,
        {{{"kind", "file"}, {"name", name}, {"nbytes", bytes}}, {{"kind", "path"}, {"path", path}},
            parameters(rate, knobs, fWire->models, fWire->stop), knobs.preset, bytes},
        read);
}

/// Throws if a job has ended without a result.
static void throwEnd(const Message& news)
{
    if (news.type() == "failed")
        throw Refused(news.header.value("message", "the render failed"), news.header.value("code", ""));
    if (news.type() == "cancelled")
        throw Refused("the render was cancelled", "cancelled");
}

void Client::submit(const std::string& job, const Order& order, const Read& read)
{
    const Header message = {{"type", "submit"}, {"job", job}, {"source", order.source}, {"deliver", order.deliver},
        {"params", order.params}, {"preset", order.preset}};
    for (;;) {
        fWire->say(message);
        Message answer = fWire->hear(job);
        if (answer.header.value("state", "") == "uploading")
            answer = upload(job, order.bytes, answer.header.value("offset", uint64_t(0)), read);
        throwEnd(answer);
        if (answer.type() != "busy")
            return;
        fWire->pause(answer.header.value("retry_s", 1.0)); // an upload continues at the engine's offset
    }
}

Message Client::upload(const std::string& job, uint64_t total, uint64_t offset, const Read& read)
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
    if (offset > total)
        throw Refused("the engine has more of the source than there is");
    for (uint64_t had = 0; had < offset;)
        had = take(had, offset);
    uint64_t granted = offset;
    for (bool isWhole = false;;) {
        // An engine that was killed may have every byte, and still need the last chunk's digest.
        while (!isWhole && (offset < granted || offset == total)) {
            Header chunk = {{"type", "chunk"}, {"job", job}, {"offset", offset}};
            offset = take(offset, granted);
            isWhole = offset == total;
            if (isWhole) {
                unsigned char digest[kDigestBytes];
                char text[2 * kDigestBytes + 1];
                crypto_generichash_final(&hash, digest, sizeof digest);
                chunk["last"] = true;
                chunk["digest"] = sodium_bin2hex(text, sizeof text, digest, sizeof digest);
            }
            fWire->say(chunk, piece.empty() ? "" : piece.data(), piece.size());
        }
        const Message news = fWire->hear(job);
        if (news.header.value("state", "") == "uploading")
            continue;
        if (news.type() != "grant")
            return news;
        granted = news.header.at("offset").get<uint64_t>() + news.header.at("bytes").get<uint64_t>();
        granted = std::min(granted, total);
    }
}

static Report reported(const Header& done)
{
    Report report;
    const auto said = done.find("report");
    if (said == done.end() || !said->is_object())
        return report;
    report.generated = said->value("generated", false);
    if (report.generated && said->at("cutoff_hz").is_number())
        report.cutoffHz = said->at("cutoff_hz");
    return report;
}

Report Client::watch(const std::string& job, const OnProgress& onProgress)
{
    fWire->say({{"type", "watch"}, {"job", job}});
    for (;;) {
        const Message news = fWire->hear(job);
        if (news.type() == "progress" && news.header.value("of", 0) > 0)
            onProgress(float(news.header.value("step", 0)) / float(news.header.value("of", 1)));
        if (news.type() == "done")
            return reported(news.header);
        throwEnd(news);
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
            throw Refused("the result is not as long as the clip");
        write(offset, news.buffer.data(), news.buffer.size());
        offset += news.buffer.size();
    }
}

void Client::forget(const std::string& job)
{
    fWire->say({{"type", "forget"}, {"job", job}});
}

void Client::cancel(const std::string& job) noexcept
{
    try {
        fWire->say({{"type", "cancel"}, {"job", job}});
    } catch (const std::exception&) { // the engine has gone; the job ended with it, or continues later
    }
}

} // namespace airband
