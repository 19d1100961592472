"""Compiles the kernel and its binding into `liam_core._liam` (cffi, out-of-line API mode, stable ABI).

Paths are relative to the repository root, where setuptools runs. The library is built for the baseline machine: the
kernel's files raise the instruction set by themselves, function by function. The declarations are read from the
headers, which are plain enough for that.
"""

import re
import sys
import sysconfig
from pathlib import Path

from cffi import FFI


def declarations(header: str) -> str:
    """Return a header of plain C declarations and numbers as cffi reads it: without comments and preprocessing."""
    text = re.sub(r"/\*.*?\*/", "", header, flags=re.DOTALL)
    text = re.sub(r"#ifdef __cplusplus\n.*?#endif\n", "", text, flags=re.DOTALL)
    return "\n".join(
        line.replace("(-", "-").rstrip(")") if line.startswith("#define") else line
        for line in text.splitlines()
        if line.strip() and not re.match(r"#(ifndef|include|endif|define \w+_H$)", line)
    )


# The front stands on epoll; elsewhere the servers do without it, and without the caller that shares its frames.
HAS_FRONT = sys.platform == "linux"
FAMILIES = sorted(path.stem for path in Path("native/include").glob("liam*.h"))
HEADERS = (*FAMILIES, "oip", *(("front", "unary") if HAS_FRONT else ()))
ROOMS = ("liam", "oip", *(("front", "unary") if HAS_FRONT else ()))
SOURCES = sorted(str(path) for room in ROOMS for path in Path("native/src", room).glob("*.c"))

# Scores must not depend on the level: no fused multiply-add. The scalar level is the reference: no
# vectoriser.
GNU_FLAGS = [
    "-std=c11",
    "-O2",
    "-ffp-contract=off",
    "-fno-tree-vectorize",
    "-fno-tree-slp-vectorize",
    "-fvisibility=hidden",
]

ffibuilder = FFI()
for header in HEADERS:
    ffibuilder.cdef(declarations(Path(f"native/include/{header}.h").read_text(encoding="utf-8")))
ffibuilder.set_source(
    "liam_core._liam",
    "\n".join(f'#include "{header}.h"' for header in HEADERS),
    sources=SOURCES,
    include_dirs=["native/include", *(f"native/src/{room}" for room in ROOMS)],
    depends=sorted(map(str, Path("native").glob("[is]*/**/*.h"))),
    extra_compile_args=[] if sys.platform == "win32" else GNU_FLAGS,
    # Free-threaded CPython has no stable ABI yet.
    py_limited_api=not sysconfig.get_config_var("Py_GIL_DISABLED"),
)
