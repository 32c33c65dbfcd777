// A CLAP host that shows a plugin's window in one of its own, until it reads a line: clap_window PLUGIN.clap
//
// It prints `ARMED VALUE` for a plugin with the parameter Armed.
#include "clap_instance.hpp"

#include <X11/Xlib.h>
#include <poll.h>
#include <unistd.h>

static constexpr uint32_t kBlock = 512;
static constexpr unsigned kWidth = 420, kHeight = 360;
static constexpr int kTickMs = 16;

int main(int count, char** arguments)
{
    Display* const display = count == 2 ? XOpenDisplay(nullptr) : nullptr;
    if (display == nullptr)
        return 2;
    const Library library(arguments[1]);
    Instance instance(library);
    instance.start(48000, kBlock);
    const Window window = XCreateSimpleWindow(display, DefaultRootWindow(display), 0, 0, kWidth, kHeight, 0, 0, 0);
    XStoreName(display, window, "CLAP");
    XMapWindow(display, window);
    XSync(display, False);
    if (!instance.showIn(window))
        return 3;
    std::vector<float> silence(instance.channels * kBlock);
    float* const channels[] = {silence.data(), silence.data() + (instance.channels - 1) * kBlock};
    pollfd input = {STDIN_FILENO, POLLIN, 0};
    while (poll(&input, 1, kTickMs) == 0) {
        instance.tick();
        instance.process(channels, kBlock); // the plugin learns of clicks in it
    }
    instance.closeWindow();
    std::printf("ARMED %.1f\n", instance.value("Armed"));
    instance.stop();
    XCloseDisplay(display);
    return 0;
}
