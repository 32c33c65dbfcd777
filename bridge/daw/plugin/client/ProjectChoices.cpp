#include "ProjectChoices.hpp"

namespace airband {

Choices ProjectChoices::now() const
{
    Choices here = Choices::read(); // read again, as the engine may have been met since
    const std::lock_guard<std::mutex> guard(fMutex);
    if (!fHasBrought)
        return here;
    Choices all = fBrought;
    all.append(here);
    return all;
}

void ProjectChoices::restore(const std::string& text)
{
    Choices brought;
    const bool has = brought.parse(text);
    const std::lock_guard<std::mutex> guard(fMutex);
    fHasBrought = has;
    fBrought = brought;
}

} // namespace airband
