/* A disk that stalls, for LD_PRELOAD: a write to a file of STALL_FOLDER, once that many bytes of it are written, waits
 * STALL_S seconds, once.
 *
 * gcc -shared -fPIC stalled_disk.c -ldl -o stalled_disk.so */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const long long kBytes = 1 << 20;

ssize_t pwrite(int file, const void* bytes, size_t count, off_t offset)
{
    static ssize_t (*next)(int, const void*, size_t, off_t);
    static atomic_flag stalled = ATOMIC_FLAG_INIT;
    if (next == NULL)
        next = (ssize_t(*)(int, const void*, size_t, off_t))dlsym(RTLD_NEXT, "pwrite");
    const char* const folder = getenv("STALL_FOLDER");
    char link[64], path[4096] = "";
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    if (folder != NULL && readlink(link, path, sizeof path - 1) > 0 && strncmp(path, folder, strlen(folder)) == 0
        && offset >= kBytes && !atomic_flag_test_and_set(&stalled))
        usleep((useconds_t)(atof(getenv("STALL_S")) * 1e6));
    return next(file, bytes, count, offset);
}
