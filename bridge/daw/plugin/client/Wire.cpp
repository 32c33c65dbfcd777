#include "Wire.hpp"

#include <chrono>
#include <cstring>
#include <sodium.h>
#include <thread>
#include <zmq.h>

namespace airband {

using Clock = std::chrono::steady_clock;

static constexpr int kSliceMs = 50;           // how often a wait looks at `stop` and at the engine's process
static constexpr double kPingEveryS = 2;
static constexpr double kSilenceS = 20;       // an engine that answers no ping for so long counts as gone
static constexpr int kSendTimeoutMs = 10000;

static double since(Clock::time_point then)
{
    return std::chrono::duration<double>(Clock::now() - then).count();
}

Client::Wire::Wire(const Connection& connection, const std::atomic<bool>& stop)
    : fConnection(connection), fStop(stop), fContext(zmq_ctx_new()), fSocket(zmq_socket(fContext, ZMQ_DEALER))
{
    const int linger = 500; // time for a last `bye` or chunk
    zmq_setsockopt(fSocket, ZMQ_LINGER, &linger, sizeof linger);
    zmq_setsockopt(fSocket, ZMQ_SNDTIMEO, &kSendTimeoutMs, sizeof kSendTimeoutMs);
    if (!connection.serverKey.empty()) {
        zmq_setsockopt(fSocket, ZMQ_CURVE_SERVERKEY, connection.serverKey.c_str(), connection.serverKey.size());
        zmq_setsockopt(fSocket, ZMQ_CURVE_PUBLICKEY, connection.publicKey.c_str(), connection.publicKey.size());
        zmq_setsockopt(fSocket, ZMQ_CURVE_SECRETKEY, connection.secretKey.c_str(), connection.secretKey.size());
    }
    if (zmq_connect(fSocket, connection.endpoint.c_str()) != 0) {
        const std::string why = zmq_strerror(zmq_errno());
        zmq_close(fSocket);
        zmq_ctx_term(fContext);
        throw EngineAbsent(connection.endpoint + ": " + why);
    }
}

Client::Wire::~Wire()
{
    zmq_close(fSocket);
    zmq_ctx_term(fContext);
}

void Client::Wire::say(const Header& header, const void* buffer, size_t bytes)
{
    const std::vector<uint8_t> packed = Header::to_msgpack(header);
    const bool sent = zmq_send(fSocket, packed.data(), packed.size(), buffer ? ZMQ_SNDMORE : 0) >= 0
        && (buffer == nullptr || zmq_send(fSocket, buffer, bytes, 0) >= 0);
    if (!sent)
        throw EngineAbsent("the engine takes no messages");
}

bool Client::Wire::receive(Message& message)
{
    zmq_pollitem_t item = {fSocket, 0, ZMQ_POLLIN, 0};
    if (zmq_poll(&item, 1, kSliceMs) <= 0)
        return false;
    for (int frame = 0, more = 1; more; ++frame) {
        zmq_msg_t part;
        zmq_msg_init(&part);
        if (zmq_msg_recv(&part, fSocket, 0) < 0) {
            zmq_msg_close(&part);
            throw EngineAbsent("the connection broke");
        }
        const char* const bytes = static_cast<const char*>(zmq_msg_data(&part));
        if (frame == 0)
            message.header = Header::from_msgpack(bytes, bytes + zmq_msg_size(&part), true, false);
        else
            message.buffer.assign(bytes, bytes + zmq_msg_size(&part));
        more = zmq_msg_more(&part);
        zmq_msg_close(&part);
    }
    if (!message.header.is_object())
        throw Refused("the engine sent what is no message");
    return true;
}

Message Client::Wire::hear(const std::string& job)
{
    Clock::time_point heard = Clock::now(), pinged = heard;
    for (;;) {
        if (fStop)
            throw Stopped("the host ends the plugin");
        Message message;
        if (!receive(message)) {
            if (!fConnection.alive() || since(heard) > kSilenceS)
                throw EngineAbsent("the engine has ended or fell silent");
            if (since(pinged) > kPingEveryS) {
                say({{"type", "ping"}});
                pinged = Clock::now();
            }
            continue;
        }
        heard = Clock::now();
        const std::string type = message.type();
        const auto about = message.header.find("job");
        const bool general = about == message.header.end() || about->is_null();
        if (type == "closing")
            throw EngineAbsent("the engine is leaving");
        if (type == "error" && (general || *about == job))
            throw Refused(message.header.value("message", ""));
        if (type != "pong" && (general ? job.empty() : *about == job))
            return message;
    }
}

void Client::Wire::pause(double seconds) const
{
    const Clock::time_point began = Clock::now();
    while (since(began) < seconds) {
        if (fStop)
            throw Stopped("the host ends the plugin");
        std::this_thread::sleep_for(std::chrono::milliseconds(kSliceMs));
    }
}

std::string newJob()
{
    static const char* const digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    uint64_t milliseconds = uint64_t(
        std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
            .count());
    std::string ulid(26, '0');
    for (int place = 9; place >= 0; --place, milliseconds /= 32)
        ulid[size_t(place)] = digits[milliseconds % 32];
    for (size_t place = 10; place < 26; ++place)
        ulid[place] = digits[randombytes_uniform(32)];
    return ulid;
}

std::string chooseModel(const std::string& asked, const Header& models)
{
    if (asked != "auto")
        return asked;
    for (const Header& model : models) {
        const std::string device = model.value("device", "");
        if (model.value("name", "") == "audiosr-basic" && model.value("ready", false) && !device.empty()
            && device != "cpu")
            return "audiosr-basic";
    }
    return "draft";
}

} // namespace airband
