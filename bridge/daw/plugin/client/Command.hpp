#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace airband {

/// A child process, and what it says. It has the environment of the host, but for what the host set for its own
/// libraries, and inherits no files. It is left alone when nobody waits for it any more.
class Command {
public:
    /// Starts it; throws std::runtime_error where that fails.
    explicit Command(const std::vector<std::string>& words);
    ~Command();

    /// Waits a moment for what it says, or its end; false once it has ended and said all.
    bool turn();

    std::string out, err;
    int code = -1; ///< Of its end; -1 where a signal ended it, or where the host took its end away.

private:
    intptr_t fProcess = -1, fOut = -1, fErr = -1; // as the system knows them
    bool fEnded = false;

    Command(const Command&) = delete;
    Command& operator=(const Command&) = delete;
};

/// Shows a folder in the desktop's file manager, where there is one.
void showFolder(const std::string& path);

} // namespace airband
