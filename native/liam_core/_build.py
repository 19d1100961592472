"""Compiles the kernel and its binding into `liam_core._liam` (cffi, out-of-line API mode, stable ABI).

Paths are relative to the repository root, where setuptools runs. The library is built for the baseline
machine: the kernel's files raise the instruction set by themselves, function by function. The declarations
repeat `liam.h`; the C compiler checks them against it, and a test checks that none is missing. Those of the serving
codec are read from `oip.h` itself.
"""

import re
import sys
import sysconfig
from pathlib import Path

from cffi import FFI

CDEF = """
#define LIAM_ABI_VERSION ...
#define LIAM_MAX_NBITS ...
#define LIAM_ALIGNMENT ...
#define LIAM_MAX_HIDDEN_LAYERS ...
#define LIAM_LEVELS ...

#define LIAM_OK ...
#define LIAM_ERR_NULL ...
#define LIAM_ERR_SIZE ...
#define LIAM_ERR_STRIDE ...
#define LIAM_ERR_OVERFLOW ...
#define LIAM_ERR_ALIGNMENT ...
#define LIAM_ERR_MEMORY ...
#define LIAM_ERR_VALUE ...
#define LIAM_ERR_UNSUPPORTED ...
#define LIAM_ERR_SELF_TEST ...

#define LIAM_SCALAR ...
#define LIAM_AVX2 ...
#define LIAM_AVX512 ...

#define LIAM_CPU_AVX2 ...
#define LIAM_CPU_AVX512F ...
#define LIAM_CPU_AVX512BW ...
#define LIAM_CPU_AVX512VL ...
#define LIAM_CPU_AVX512DQ ...
#define LIAM_CPU_AVX512VPOPCNTDQ ...
#define LIAM_CPU_GFNI ...

uint32_t liam_abi_version(void);
const char *liam_status_text(int status);
int liam_init(void);
int liam_level(void);
int liam_best_level(void);
int liam_level_forced(void);
int liam_level_supported(int level);
const char *liam_level_name(int level);
int liam_set_level(int level);
uint64_t liam_cpu_features(void);
int liam_self_test(int level, uint64_t *digest);

size_t liam_words(size_t nbits);
int liam_pack_f32(const float *x, size_t rows, size_t nbits, size_t x_stride, const float *thresholds,
                  uint64_t *out, size_t out_stride);
int liam_pack_f64(const double *x, size_t rows, size_t nbits, size_t x_stride, const float *thresholds,
                  uint64_t *out, size_t out_stride);
int liam_pack_i8(const int8_t *x, size_t rows, size_t nbits, size_t x_stride, uint64_t *out,
                 size_t out_stride);
int liam_pack_bool(const uint8_t *x, size_t rows, size_t nbits, size_t x_stride, uint64_t *out,
                   size_t out_stride);
int liam_unpack_i8(const uint64_t *bits, size_t rows, size_t nbits, size_t bits_stride, int8_t *out,
                   size_t out_stride);
int liam_unpack_f32(const uint64_t *bits, size_t rows, size_t nbits, size_t bits_stride, float *out,
                    size_t out_stride);
int liam_unpack_bool(const uint64_t *bits, size_t rows, size_t nbits, size_t bits_stride, uint8_t *out,
                     size_t out_stride);
int liam_from_bytes(const uint8_t *bytes, size_t rows, size_t nbits, size_t bytes_stride, int big_endian,
                    uint64_t *out, size_t out_stride);
int liam_to_bytes(const uint64_t *bits, size_t rows, size_t nbits, size_t bits_stride, int big_endian,
                  uint8_t *out, size_t out_stride);

int liam_xnor_prepared_bytes(size_t n, size_t nbits, size_t *bytes);
int liam_xnor_prepare(const uint64_t *weights, size_t n, size_t nbits, size_t weights_stride, void *prepared,
                      size_t prepared_bytes);
int liam_xnor_dot(const uint64_t *a, size_t m, size_t a_stride, const void *prepared, size_t n, size_t nbits,
                  int32_t *out, size_t out_stride);
int liam_xnor_threshold(const uint64_t *a, size_t m, size_t a_stride, const void *prepared, size_t n,
                        size_t nbits, const int32_t *thresholds, uint64_t *out, size_t out_stride);
int liam_xnor_scale(const uint64_t *a, size_t m, size_t a_stride, const void *prepared, size_t n,
                    size_t nbits, const float *scale, const float *bias, float *out, size_t out_stride);

typedef struct liam_layer_spec {
    const uint64_t *weights;
    size_t weights_stride;
    const int32_t *thresholds;
    size_t outputs;
} liam_layer_spec;
typedef struct liam_network_spec {
    size_t features;
    size_t input_bits;
    const int32_t *source;
    const float *thresholds;
    size_t hidden_layers;
    const liam_layer_spec *layers;
    const uint64_t *head_weights;
    size_t head_stride;
    const float *scale;
    const float *bias;
    size_t classes;
} liam_network_spec;
typedef struct liam_network liam_network;
int liam_network_bytes(const liam_network_spec *spec, size_t *bytes);
int liam_network_prepare(const liam_network_spec *spec, liam_network *net, size_t net_bytes);
int liam_network_scratch_bytes(const liam_network *net, size_t *bytes);
int liam_network_run(const liam_network *net, const void *x, size_t rows, void *label, void *scores,
                     void *scratch, size_t scratch_bytes);
"""


def declarations(header: str) -> str:
    """Return a header of plain C declarations and numbers as cffi reads it: without comments and preprocessing."""
    text = re.sub(r"/\*.*?\*/", "", header, flags=re.DOTALL)
    text = re.sub(r"#ifdef __cplusplus\n.*?#endif\n", "", text, flags=re.DOTALL)
    return "\n".join(
        line.replace("(-", "-").rstrip(")") if line.startswith("#define") else line
        for line in text.splitlines()
        if line.strip() and not re.match(r"#(ifndef|include|endif|define (OIP|FRONT)_H$)", line)
    )


OIP_CDEF = declarations(Path("native/include/oip.h").read_text(encoding="utf-8"))
# The front stands on epoll; elsewhere the servers do without it.
HAS_FRONT = sys.platform == "linux"
FRONT = ("buffer", "call", "connection", "control", "events", "fields", "hpack", "stream", "thread")
FRONT_CDEF = declarations(Path("native/include/front.h").read_text(encoding="utf-8")) if HAS_FRONT else ""

LEVELS = ("scalar", "avx2", "avx512")
FAMILIES = ("encode", "pack", "xnor")
SOURCES = [
    *(f"native/src/{name}.c" for name in ("cpu", "dispatch", "self_test", "pack", "xnor")),
    *(f"native/src/{name}.c" for name in ("network_prepare", "network_run")),
    *(f"native/src/{family}_{level}.c" for family in FAMILIES for level in LEVELS),
    *(f"native/src/oip_{name}.c" for name in ("answer", "id", "keep", "read", "sha256", "stats", "table")),
]
if HAS_FRONT:
    SOURCES += [
        "native/src/front.c",
        *(f"native/src/front_{name}.c" for name in FRONT),
    ]

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
ffibuilder.cdef(CDEF)
ffibuilder.cdef(OIP_CDEF)
ffibuilder.cdef(FRONT_CDEF)
ffibuilder.set_source(
    "liam_core._liam",
    '#include "front.h"' if HAS_FRONT else '#include "oip.h"',
    sources=SOURCES,
    include_dirs=["native/include", "native/src"],
    depends=sorted(str(path) for folder in ("include", "src") for path in Path("native", folder).glob("*.h")),
    extra_compile_args=[] if sys.platform == "win32" else GNU_FLAGS,
    # Free-threaded CPython has no stable ABI yet.
    py_limited_api=not sysconfig.get_config_var("Py_GIL_DISABLED"),
)
