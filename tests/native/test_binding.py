"""The binding repeats the C header; these tests compare them, and run the library's own tests."""

import re
import runpy
import shutil
import subprocess
from pathlib import Path

import pytest

from liam_core import front
from liam_core.kernel import ffi, lib

ROOT = Path(__file__).resolve().parents[2]
HEADER = ROOT / "native" / "include" / "liam.h"

PROTOTYPE = re.compile(r"^(?:const char \*|\w+ )(liam_\w+)\(([^;{]*)\);", re.MULTILINE)


def normal(declarations):
    """Return C text without comments, with single spaces."""
    return re.sub(r"\s+", " ", re.sub(r"/\*.*?\*/", "", declarations, flags=re.DOTALL))


@pytest.fixture(scope="module")
def cdef(tmp_path_factory):
    """Return the declarations of the binding."""
    patch = pytest.MonkeyPatch()
    patch.chdir(ROOT)
    try:
        return runpy.run_path(str(ROOT / "native" / "liam_core" / "_build.py"))
    finally:
        patch.undo()


def test_the_binding_declares_the_whole_header(cdef):
    """Every function of liam.h is in the binding with the same parameters, and no other."""
    header = {m[1]: normal(m[0]) for m in PROTOTYPE.finditer(HEADER.read_text())}
    binding = {m[1]: normal(m[0]) for m in PROTOTYPE.finditer(cdef["CDEF"])}
    assert header == binding
    assert len(header) > 20


def test_the_binding_declares_all_structs_and_constants(cdef):
    """Structs are repeated field by field, and every constant has the header's value."""
    header = HEADER.read_text()
    structs = re.findall(r"typedef struct liam_\w+ \{.*?\} liam_\w+;", normal(header))
    assert len(structs) == 2
    for struct in structs:
        assert struct in normal(cdef["CDEF"])
    constants = dict(re.findall(r"^#define (LIAM_\w+) (\d+)$", header, flags=re.MULTILINE))
    constants |= dict(re.findall(r"(LIAM_\w+) = (\d+)", header))
    assert {name: getattr(lib, name) for name in constants} == {name: int(value) for name, value in constants.items()}
    assert {name for name in dir(lib) if name.startswith("LIAM_")} == constants.keys()


def test_the_codec_is_bound_as_its_header_says(cdef):
    """Every function, struct and constant of oip.h is in the binding; constants have the header's values."""
    header = re.sub(r" */\*.*?\*/", "", (HEADER.parent / "oip.h").read_text(), flags=re.DOTALL)
    functions = set(re.findall(r"\b(oip_\w+)\(", normal(header)))
    structs = set(re.findall(r"typedef struct (oip_\w+) \{", header))
    constants = dict(re.findall(r"^#define (OIP_\w+) \(?(-?\d+)\)?$", header, flags=re.MULTILINE))
    assert {name for name in dir(lib) if name.startswith("oip_")} == functions
    assert {name: getattr(lib, name) for name in dir(lib) if name.startswith("OIP_")} == {
        name: int(value) for name, value in constants.items()
    }
    assert {name for name in ffi.list_types()[0] if name.startswith("oip_")} == structs
    assert (len(functions) > 15, len(structs) > 10, len(constants) > 10) == (True, True, True)
    assert lib.oip_abi_version() == lib.OIP_ABI_VERSION
    assert "__cplusplus" not in cdef["OIP_CDEF"]


def test_the_front_is_bound_as_its_header_says(cdef):
    """Every function, struct and number of front.h is in the binding, and the names that Python gives them are right."""
    header = re.sub(r" */\*.*?\*/", "", (HEADER.parent / "front.h").read_text(), flags=re.DOTALL)
    constants = {
        name: int(value) for name, value in re.findall(r"^#define (FRONT_\w+) (\d+)", header, flags=re.MULTILINE)
    }
    assert {name for name in dir(lib) if name.startswith("front_")} == set(re.findall(r"\b(front_\w+)\(", header))
    assert {name: getattr(lib, name) for name in dir(lib) if name.startswith("FRONT_")} == constants
    assert {name for name in ffi.list_types()[0] if name.startswith("front")} == {
        "front",
        "front_event",
        "front_limits",
    }
    assert lib.front_abi_version() == lib.FRONT_ABI_VERSION == front._ABI_VERSION
    kinds = {**vars(front.CallKind), **vars(front.EventKind)}
    named = {f"FRONT_{name}": value for name, value in kinds.items() if not name.startswith("_")}
    named |= {f"FRONT_{name}": getattr(front, name) for name in ("COMPRESSED", "BEGUN", "MESSAGE_BYTES")}
    assert named == {name: value for name, value in constants.items() if name != "FRONT_ABI_VERSION"}


def test_shared_blocks_keep_their_layout():
    """What files and other processes hold has the documented size."""
    assert ffi.sizeof("oip_receipt") == 128
    assert ffi.sizeof("oip_receipts") == 40
    assert ffi.offsetof("oip_receipts", "written") == 8
    assert ffi.offsetof("oip_receipts", "dropped") == 24
    assert ffi.sizeof("oip_stats") % 8 == 0


def test_all_sources_are_compiled(cdef):
    """No C file is left out of the extension."""
    assert sorted(cdef["SOURCES"]) == sorted(
        str(path.relative_to(ROOT)) for path in (ROOT / "native" / "src").glob("*.c")
    )


def test_every_status_has_a_sentence():
    """Each status of the header has its own text."""
    statuses = [value for name in dir(lib) if name.startswith("LIAM_ERR_") for value in [getattr(lib, name)]]
    texts = {ffi.string(lib.liam_status_text(status)) for status in [lib.LIAM_OK, *statuses, 999]}
    assert len(texts) == len(statuses) + 2


@pytest.mark.timeout(300)
def test_the_library_passes_its_own_tests_under_sanitizers():
    """The C tests pass at every level under AddressSanitizer and UndefinedBehaviorSanitizer."""
    make = shutil.which("make")
    assert make is not None
    result = subprocess.run(
        [make, "-C", str(ROOT / "native"), "-j2", "test"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-4000:]
