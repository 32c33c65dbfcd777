#include "Connection.hpp"
#include "System.hpp"

#include <nlohmann/json.hpp>

namespace airband {

static constexpr size_t kFileBytes = 64 * 1024;

static std::string connectionPath()
{
    const std::string chosen = environment("AIRBAND_CONNECTION");
    return chosen.empty() ? stateHome() + "/airband/engine.json" : chosen;
}

std::string stateFolder()
{
    const std::string path = connectionPath();
    return path.substr(0, path.rfind('/'));
}

static std::string readPrivate(const std::string& path)
{
    const File file(path, File::kRead);
    if (!file.isOpen())
        throw EngineAbsent(path + ": no engine has left its address here", true);
    if (!file.isPrivate())
        throw Refused(path + " is open to others: remove it and start the engine again");
    std::string content(kFileBytes, '\0');
    const int64_t count = file.read(0, &content[0], content.size());
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
