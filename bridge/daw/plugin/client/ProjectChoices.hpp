#pragma once
#include "Choices.hpp"

#include <mutex>

namespace airband {

/// The names behind the numbers of one instance: first those that its project was saved with, on whatever machine, then
/// further ones of this machine. Safe for all threads but the audio thread, since it reads a file.
class ProjectChoices {
public:
    Choices now() const;
    /// The text to save in a project.
    std::string saved() const { return now().text(); }
    /// Restores a project's text. An empty one, as in projects of earlier versions, means the names of this machine.
    void restore(const std::string& text);

private:
    mutable std::mutex fMutex;
    Choices fBrought;          // under the mutex, like the next
    bool fHasBrought = false;
};

} // namespace airband
