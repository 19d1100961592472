#!/usr/bin/env bash
# The package's kernel tests over an extension that is built with AddressSanitizer and UndefinedBehaviorSanitizer, in
# build/sanitized. Leaks are not looked for, because the interpreter has its own. Fails on any report.
#   tools/sanitize.sh BIN   BIN: the virtual environment's bin
set -euo pipefail

bin=$1
where=build/sanitized
flags='-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -g'

CFLAGS=$flags LDFLAGS='-fsanitize=address,undefined' \
    "$bin/python" setup.py -q build_ext --build-lib "$where" --build-temp "$where/objects" --force
cp native/liam_core/*.py "$where/liam_core/"

# The interpreter is not built with them, so their libraries come first. pytest leaves file descriptors alone, or a report
# would end in a file that nobody reads.
cc=${CC:-cc}
LD_PRELOAD="$("$cc" -print-file-name=libasan.so) $("$cc" -print-file-name=libubsan.so)" \
    ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 PYTHONMALLOC=malloc \
    "$bin/python" -m pytest -q -p no:cacheprovider --capture=sys -o pythonpath="$where services clients/python/src ." \
    tests/native --ignore=tests/native/test_binding.py
