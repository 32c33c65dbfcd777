// upload [JOB]: sends 8 MiB of silence to the engine, as Render does; of a job submitted before, only the missing part.
// Prints the job's name as soon as the first piece is requested, then waits for a line, and prints how the job ended.
#include "Client.hpp"

#include <cstdio>
#include <cstring>

int main(int count, char** argument)
{
    const std::atomic<bool> stop{false};
    const std::string job = count > 1 ? argument[1] : airband::newJob();
    const auto read = [&job](uint64_t offset, char* into, size_t count) {
        if (offset == 0) {
            std::printf("%s\n", job.c_str());
            std::fflush(stdout);
            std::getchar();
        }
        std::memset(into, 0, count);
    };
    airband::Knobs knobs;
    knobs.model = "null";
    try {
        airband::Client client("upload", stop, {10, 60}, false);
        client.submitSamples(job, {48000, 2, uint64_t(1) << 20}, read, knobs);
        std::printf("queued\n");
    } catch (const std::exception& error) {
        std::printf("%s\n", error.what());
    }
    return 0;
}
