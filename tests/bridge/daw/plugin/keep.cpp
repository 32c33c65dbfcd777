// keep EVERY_S SECONDS: keeps the engine alive for so long, as a plugin that has used it does. Prints why it could not,
// and what remains of that error once a plugin has used an engine again.
#include "Keeper.hpp"

#include <chrono>
#include <cstdio>
#include <cstdlib>

int main(int, char** argument)
{
    airband::Keeper keeper(std::atof(argument[1]));
    keeper.keep();
    std::this_thread::sleep_for(std::chrono::duration<double>(std::atof(argument[2])));
    std::printf("%s\n", keeper.problem().c_str());
    keeper.keep();
    std::printf("%s\n", keeper.problem().c_str());
    return 0;
}
