#pragma once
#include "Choices.hpp"

#include <mutex>

namespace airband {

/// What the numbers of one instance stand for: in every project the names that it was saved with, on whatever machine,
/// and behind them those that this machine has more. Safe for all threads, but reads a file: none for the audio thread.
class ProjectChoices {
public:
    Choices now() const;
    /// What a project keeps.
    std::string saved() const { return now().text(); }
    /// What a project has kept; a text that says nothing, as in projects of earlier versions, stands for this machine's
    /// names.
    void restore(const std::string& text);

private:
    mutable std::mutex fMutex;
    Choices fBrought;          // under the mutex, like the next
    bool fHasBrought = false;
};

} // namespace airband
