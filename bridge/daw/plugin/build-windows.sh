#!/bin/bash
# Builds the plugins on Windows, in the UCRT64 shell of MSYS2: bash build-windows.sh DPF_FOLDER
#
# UNTESTED: nobody has run this on Windows yet. It was checked by `bash -n`, and every source was compiled, but not
# linked, by Debian's x86_64-w64-mingw32-g++.
#
# Needs `pacman -S --needed make patch mingw-w64-ucrt-x86_64-{gcc,pkgconf,zeromq,libsodium,nlohmann-json}`. DPF_FOLDER is
# DPF 1.6, which dpf/host-context.patch is made for. The libraries are linked into the plugins, which then need nothing
# but Windows 10.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
dpf=${1:?which folder holds DPF?}
[ -f "$dpf/distrho/DistrhoPlugin.hpp" ] || { echo "$dpf: no DPF there" >&2; exit 1; }
[ "${MSYSTEM:-}" = UCRT64 ] || { echo "run this in the UCRT64 shell of MSYS2" >&2; exit 1; }
for library in libzmq libsodium nlohmann_json; do
    pkg-config --exists "$library" || { echo "$library is missing: see the top of $0" >&2; exit 1; }
done

# localtime_r is declared only if POSIX is requested.
export CXXFLAGS="-DZMQ_STATIC -DSODIUM_STATIC -D_POSIX_C_SOURCE=200809L"
export LDFLAGS="-static"
export LIBRARIES="$(pkg-config --static --libs libzmq libsodium) -lshell32 -lole32 -luuid"
make -C "$here" -j"$(nproc)" DPF_SOURCE="$dpf" SYSTEM=windows LIBRARY=dll

for plugin in "$here"/bin/*.lv2/*.dll "$here"/bin/*.vst3/Contents/*/*.vst3 "$here"/bin/*.clap; do
    wants=$(objdump -p "$plugin" | sed -n 's/.*DLL Name: //p' | grep -iE '^lib(zmq|sodium|stdc|gcc|winpthread)' || true)
    [ -z "$wants" ] || { echo "$plugin needs $wants beside it" >&2; exit 1; }
done
airband daw install plugin --from "$(cygpath -w "$here/bin")"
