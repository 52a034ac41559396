#!/bin/sh
# Builds pause-amd64 and pause-arm64 from pause.c, here or in the folder given. The bytes in the repository were made on
# Debian 12 (gcc 12.2.0, binutils 2.40; packages gcc and gcc-aarch64-linux-gnu), and the arm64 one was run under qemu-user.
# Another compiler may give other bytes that do the same.
set -eu
here=$(dirname "$(readlink -f "$0")")
out=${1:-$here}
flags="-Os -static -nostdlib -ffreestanding -fno-pie -no-pie -fno-stack-protector -fno-ident -fno-unwind-tables
       -fno-asynchronous-unwind-tables -s -Wall -Wextra -Werror
       -Wl,--build-id=none,-z,noseparate-code,-z,noexecstack,-n"
for pair in amd64:x86_64 arm64:aarch64; do
    compiler=${pair#*:}-linux-gnu-gcc
    if command -v "$compiler" > /dev/null; then
        "$compiler" $flags -o "$out/pause-${pair%:*}" "$here/pause.c"
    else
        echo "pause-${pair%:*} is left as it is: there is no $compiler" >&2
    fi
done
