#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace airband {

/// A child process and its output. It has the environment of the host, without what the host set for its own
/// libraries, and inherits no files. It goes on when this object is destroyed.
class Command {
public:
    /// Starts it; throws std::runtime_error if that fails.
    explicit Command(const std::vector<std::string>& words);
    ~Command();

    /// Waits a moment for output or the end; false once it has ended and all output is read.
    bool turn();

    std::string out, err;
    int code = -1; ///< Exit code; -1 if a signal ended it, or if the host collected the code itself.

private:
    intptr_t fProcess = -1, fOut = -1, fErr = -1; // handles of the operating system
    bool fEnded = false;

    Command(const Command&) = delete;
    Command& operator=(const Command&) = delete;
};

/// Shows a folder in the desktop's file manager, if there is one.
void showFolder(const std::string& path);

} // namespace airband
