#include "Connection.hpp"

#include <cstdlib>
#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/stat.h>
#include <unistd.h>

namespace airband {

static constexpr size_t kFileBytes = 64 * 1024;

static std::string environment(const char* name)
{
    const char* const value = std::getenv(name);
    return value != nullptr ? value : "";
}

static std::string connectionPath()
{
    const std::string chosen = environment("AIRBAND_CONNECTION");
    if (!chosen.empty())
        return chosen;
    const std::string state = environment("XDG_STATE_HOME");
    if (!state.empty())
        return state + "/airband/engine.json";
#ifdef __APPLE__
    return environment("HOME") + "/Library/Application Support/airband/engine.json";
#else
    return environment("HOME") + "/.local/state/airband/engine.json";
#endif
}

std::string stateFolder()
{
    const std::string path = connectionPath();
    return path.substr(0, path.rfind('/'));
}

static std::string readPrivate(const std::string& path)
{
    const int file = open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (file < 0)
        throw EngineAbsent(path + ": no engine has left its address here", true);
    struct stat about;
    std::string content(kFileBytes, '\0');
    const bool ours = fstat(file, &about) == 0 && about.st_uid == getuid() && (about.st_mode & 077) == 0;
    const ssize_t count = ours ? read(file, &content[0], content.size()) : -1;
    close(file);
    if (!ours)
        throw Refused(path + " is open to others: remove it and start the engine again");
    content.resize(count > 0 ? size_t(count) : 0);
    return content;
}

Connection readConnection()
{
    const std::string path = connectionPath();
    try {
        const nlohmann::json file = nlohmann::json::parse(readPrivate(path));
        Connection found{file.at("endpoint"), file.value("server_key", ""), "", ""};
        const auto client = file.find("client");
        if (client != file.end() && client->is_object()) {
            found.publicKey = client->at("public");
            found.secretKey = client->at("secret");
        }
        return found;
    } catch (const nlohmann::json::exception& error) {
        throw Refused(path + " is not what Airband writes: " + error.what());
    }
}

} // namespace airband
