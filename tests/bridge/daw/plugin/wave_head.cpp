// wave_head FRAMES: prints the head of Airband Send's file for so many stereo frames.
#include "WaveFile.hpp"

#include <cstdio>
#include <cstdlib>

int main(int, char** argument)
{
    WaveHead head;
    head.frames = std::strtoull(argument[1], nullptr, 10);
    head.position = int64_t(1) << 33;
    head.track = head.scene = "vox";
    const std::vector<char> bytes = head.bytes();
    std::fwrite(bytes.data(), 1, bytes.size(), stdout);
    return 0;
}
