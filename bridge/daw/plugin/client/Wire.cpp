#include "Wire.hpp"

#include <cerrno>
#include <chrono>
#include <cstring>
#include <sodium.h>
#include <thread>
#include <zmq.h>

namespace airband {

using Clock = std::chrono::steady_clock;

static constexpr int kSliceMs = 50; // how often a wait checks `stop`
static constexpr int kLingerMs = 200; // time to deliver a last `bye`

static double since(Clock::time_point then)
{
    return std::chrono::duration<double>(Clock::now() - then).count();
}

Client::Wire::Wire(const Connection& connection, const std::atomic<bool>& stop_, const Patience& patience)
    : stop(stop_), fPatience(patience), fSocket(zmq_socket(fContext.get(), ZMQ_DEALER)),
      fMonitor(zmq_socket(fContext.get(), ZMQ_PAIR))
{
    const std::string monitor = "inproc://" + newJob(); // unique among the clients
    zmq_setsockopt(fSocket, ZMQ_LINGER, &kLingerMs, sizeof kLingerMs);
    if (!connection.serverKey.empty()) {
        zmq_setsockopt(fSocket, ZMQ_CURVE_SERVERKEY, connection.serverKey.c_str(), connection.serverKey.size());
        zmq_setsockopt(fSocket, ZMQ_CURVE_PUBLICKEY, connection.publicKey.c_str(), connection.publicKey.size());
        zmq_setsockopt(fSocket, ZMQ_CURVE_SECRETKEY, connection.secretKey.c_str(), connection.secretKey.size());
    }
    if (zmq_socket_monitor(fSocket, monitor.c_str(), ZMQ_EVENT_CONNECT_RETRIED | ZMQ_EVENT_DISCONNECTED) != 0
        || zmq_connect(fMonitor, monitor.c_str()) != 0 || zmq_connect(fSocket, connection.endpoint.c_str()) != 0) {
        const std::string why = zmq_strerror(zmq_errno());
        close();
        throw EngineAbsent(connection.endpoint + ": " + why);
    }
}

Client::Wire::~Wire()
{
    close();
}

void Client::Wire::close()
{
    zmq_socket_monitor(fSocket, nullptr, 0);
    zmq_close(fMonitor);
    zmq_close(fSocket);
}

void Client::Wire::send(const void* bytes, size_t count, int flags)
{
    const Clock::time_point began = Clock::now();
    while (zmq_send(fSocket, bytes, count, flags | ZMQ_DONTWAIT) < 0) {
        if (zmq_errno() != EAGAIN || since(began) > fPatience.silenceS)
            throw EngineAbsent("the engine takes no messages");
        if (stop)
            throw Stopped("the host ends the plugin");
        zmq_pollitem_t item = {fSocket, 0, ZMQ_POLLOUT, 0};
        zmq_poll(&item, 1, kSliceMs);
    }
}

void Client::Wire::say(const Header& header, const void* buffer, size_t bytes)
{
    const std::vector<uint8_t> packed = Header::to_msgpack(header);
    send(packed.data(), packed.size(), buffer ? ZMQ_SNDMORE : 0);
    if (buffer != nullptr)
        send(buffer, bytes, 0);
}

/// Throws according to the monitor's event: nothing listens, or the peer has gone.
void Client::Wire::readMonitor()
{
    char event[6]; // 16 bits of event, 32 of value; then a frame with the address
    if (zmq_recv(fMonitor, event, sizeof event, ZMQ_DONTWAIT) < 0)
        return;
    uint16_t kind;
    std::memcpy(&kind, event, sizeof kind);
    if (kind == ZMQ_EVENT_DISCONNECTED)
        throw EngineAbsent("the engine has gone");
    throw EngineAbsent("no engine listens", true);
}

bool Client::Wire::receive(Message& message)
{
    zmq_pollitem_t items[] = {{fSocket, 0, ZMQ_POLLIN, 0}, {fMonitor, 0, ZMQ_POLLIN, 0}};
    zmq_poll(items, 2, kSliceMs);
    if ((items[0].revents & ZMQ_POLLIN) == 0) { // messages that the engine sent before it left still count
        if ((items[1].revents & ZMQ_POLLIN) != 0)
            readMonitor();
        return false;
    }
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
        throw Refused("the engine sent something that is not a message");
    return true;
}

Message Client::Wire::hear(const std::string& job)
{
    Clock::time_point heard = Clock::now(), pinged = heard;
    for (;;) {
        if (stop)
            throw Stopped("the host ends the plugin");
        if (since(fBegan) > fPatience.totalS)
            throw EngineAbsent("the engine is too slow");
        Message message;
        if (!receive(message)) {
            if (since(heard) > fPatience.silenceS)
                throw EngineAbsent("the engine is silent");
            if (since(pinged) > fPatience.silenceS / 4) {
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
            throw Refused(message.header.value("message", ""), message.header.value("code", ""));
        if (type != "pong" && (general ? job.empty() : *about == job))
            return message;
    }
}

void Client::Wire::pause(double seconds) const
{
    const Clock::time_point began = Clock::now();
    while (since(began) < seconds) {
        if (stop)
            throw Stopped("the host ends the plugin");
        if (since(fBegan) > fPatience.totalS)
            throw EngineAbsent("the engine is busy");
        std::this_thread::sleep_for(std::chrono::milliseconds(kSliceMs));
    }
}

std::string newJob()
{
    sodium_init();
    uint64_t milliseconds = uint64_t(
        std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch())
            .count());
    std::string ulid(26, '0');
    for (int place = 9; place >= 0; --place, milliseconds /= 32)
        ulid[size_t(place)] = kJobLetters[milliseconds % 32];
    for (size_t place = 10; place < 26; ++place)
        ulid[place] = kJobLetters[randombytes_uniform(32)];
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
