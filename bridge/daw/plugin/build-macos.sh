#!/bin/bash
# Builds the plugins on macOS, for the processor it runs on: bash build-macos.sh DPF_FOLDER
#
# UNTESTED: nobody has run this on a Mac yet; only `bash -n` has checked it.
#
# Needs Xcode's command line tools and `brew install zeromq libsodium nlohmann-json pkg-config`. DPF_FOLDER is DPF 1.6,
# which dpf/host-context.patch is made for. Only later versions of DPF have Audio Units (for Logic): if the one in
# DPF_FOLDER has a target `au` they are built too, provided the patch applies. The result is not signed with a
# developer's identity, so it runs only on the Mac it was built on.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
dpf=${1:?which folder holds DPF?}
[ -f "$dpf/distrho/DistrhoPlugin.hpp" ] || { echo "$dpf: no DPF there" >&2; exit 1; }
for library in libzmq libsodium nlohmann_json; do
    pkg-config --exists "$library" || { echo "$library is missing: brew install zeromq libsodium nlohmann-json" >&2; exit 1; }
done

formats="lv2 vst3 clap"
grep -q '^au:' "$dpf/Makefile.plugins.mk" && formats="$formats au"
make -C "$here" -j"$(sysctl -n hw.ncpu)" DPF_SOURCE="$dpf" FORMATS="$formats" LIBRARY=dylib

for bundle in "$here"/bin/*.{vst3,clap,component}; do
    [ -e "$bundle" ] && codesign --force --sign - "$bundle"
done
airband daw install plugin --from "$here/bin"
if [ -d "$here/bin/AirbandSend.component" ]; then
    mkdir -p ~/Library/Audio/Plug-Ins/Components
    cp -R "$here"/bin/*.component ~/Library/Audio/Plug-Ins/Components/
    auval -v aufx AbSn Airb
    auval -v aufx AbRn Airb
fi
