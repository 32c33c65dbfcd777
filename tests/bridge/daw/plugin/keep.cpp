// keep EVERY_S SECONDS: keeps the engine for so long, as a plugin that has used it does.
#include "Keeper.hpp"

#include <chrono>
#include <cstdlib>

int main(int, char** argument)
{
    airband::Keeper keeper(std::atof(argument[1]));
    keeper.keep();
    std::this_thread::sleep_for(std::chrono::duration<double>(std::atof(argument[2])));
    return keeper.problem().empty() ? 0 : 1;
}
