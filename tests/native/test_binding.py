"""The binding is read from the C headers; these tests compare them, and run the library's own tests."""

import re
import runpy
import shutil
import subprocess
from pathlib import Path

import pytest

from liam_core import front, unary
from liam_core.kernel import ffi, lib

ROOT = Path(__file__).resolve().parents[2]
HEADERS = ROOT / "native" / "include"
KERNEL = sorted(HEADERS.glob("liam*.h"))


def normal(declarations):
    """Return C text without comments, with single spaces."""
    return re.sub(r"\s+", " ", re.sub(r"/\*.*?\*/", "", declarations, flags=re.DOTALL))


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """Return the names of the build script."""
    patch = pytest.MonkeyPatch()
    patch.chdir(ROOT)
    try:
        return runpy.run_path(str(ROOT / "native" / "liam_core" / "_build.py"))
    finally:
        patch.undo()


def test_the_kernel_is_bound_as_its_headers_say():
    """Every function, struct and constant of the kernel's headers is in the binding, and constants have their values."""
    text = normal("".join(path.read_text() for path in KERNEL))
    functions = set(re.findall(r"\b(liam_\w+)\([^;{]*\);", text))
    structs = set(re.findall(r"typedef struct (liam_\w+)", text))
    raw = "".join(path.read_text() for path in KERNEL)
    constants = dict(re.findall(r"^#define (LIAM_\w+) (\d+)$", raw, flags=re.MULTILINE))
    constants |= dict(re.findall(r"(LIAM_\w+) = (\d+)", raw))
    assert {name for name in dir(lib) if name.startswith("liam_")} == functions
    assert {name for name in ffi.list_types()[0] if name.startswith("liam_")} - {
        "liam_status",
        "liam_level_id",
    } == structs
    assert {name: getattr(lib, name) for name in constants} == {name: int(value) for name, value in constants.items()}
    assert {name for name in dir(lib) if name.startswith("LIAM_")} == constants.keys()
    assert (len(functions) > 20, len(structs) > 2) == (True, True)


def test_the_codec_is_bound_as_its_header_says():
    """Every function, struct and constant of oip.h is in the binding; constants have the header's values."""
    header = re.sub(r" */\*.*?\*/", "", (HEADERS / "oip.h").read_text(), flags=re.DOTALL)
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


def test_the_front_is_bound_as_its_header_says():
    """Every function, struct and number of front.h is in the binding, and the names that Python gives them are right."""
    header = re.sub(r" */\*.*?\*/", "", (HEADERS / "front.h").read_text(), flags=re.DOTALL)
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


def test_the_caller_is_bound_as_its_header_says():
    """Every function, struct and number of unary.h is in the binding, and the names that Python gives them are right."""
    header = re.sub(r" */\*.*?\*/", "", (HEADERS / "unary.h").read_text(), flags=re.DOTALL)
    constants = {
        name: int(value) for name, value in re.findall(r"^#define (UNARY_\w+) (\d+)", header, flags=re.MULTILINE)
    }
    assert {name for name in dir(lib) if name.startswith("unary_")} == set(re.findall(r"\b(unary_\w+)\(", header))
    assert {name: getattr(lib, name) for name in dir(lib) if name.startswith("UNARY_")} == constants
    assert {name for name in ffi.list_types()[0] if name.startswith("unary")} == {"unary", "unary_end", "unary_limits"}
    assert lib.unary_abi_version() == lib.UNARY_ABI_VERSION == unary._ABI_VERSION
    states = {f"UNARY_{name}": value for name, value in vars(unary.State).items() if not name.startswith("_")}
    assert states == {name: value for name, value in constants.items() if name != "UNARY_ABI_VERSION"}


def test_shared_blocks_keep_their_layout():
    """What files and other processes hold has the documented size."""
    assert ffi.sizeof("oip_receipt") == 128
    assert ffi.sizeof("oip_receipts") == 40
    assert ffi.offsetof("oip_receipts", "written") == 8
    assert ffi.offsetof("oip_receipts", "dropped") == 24
    assert ffi.sizeof("oip_stats") % 8 == 0


def test_all_sources_are_compiled(build):
    """No C file is left out of the extension."""
    assert sorted(build["SOURCES"]) == sorted(
        str(path.relative_to(ROOT)) for path in (ROOT / "native" / "src").glob("*/*.c")
    )


def test_every_status_has_a_sentence():
    """Each status of the header has its own text."""
    statuses = [value for name in dir(lib) if name.startswith("LIAM_ERR_") for value in [getattr(lib, name)]]
    texts = {ffi.string(lib.liam_status_text(status)) for status in [lib.LIAM_OK, *statuses, 999]}
    assert len(texts) == len(statuses) + 2


@pytest.mark.timeout(600)
def test_the_library_passes_its_own_tests_under_sanitizers():
    """The C tests pass at every level under AddressSanitizer and UndefinedBehaviorSanitizer."""
    make = shutil.which("make")
    assert make is not None
    result = subprocess.run(
        [make, "-C", str(ROOT / "native"), "-j2", "test"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-4000:]
