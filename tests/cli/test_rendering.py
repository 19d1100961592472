"""What people see: no text steers the terminal, no time breaks a table, no figure is cut; and mistakes are one line."""

from __future__ import annotations

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from neuralmesh.registry.v1 import resources_pb2
from neuralmesh_server.cli import predict, program, rendering, top
from neuralmesh_server.errors import InvalidArgumentError
from neuralmesh_server.runtime.certificates import create_authority
from neuralmesh_server.runtime.tls import check_files
from neuralmesh_server.settings import SettingsError, TlsSettings

HOSTILE = "a\x1b[2Jb\x07c\u202ed\x9be\nforged  line"


def test_nothing_printed_steers_the_terminal(capsys):
    """Tables, facts and lines show control and bidirectional characters and line ends as escapes."""
    rendering.print_table(("name", "reason"), [("m", HOSTILE)])
    rendering.print_facts([("reason", HOSTILE)])
    rendering.print_line(HOSTILE)
    shown = capsys.readouterr().out
    assert shown.count("a\\x1b[2Jb\\x07c\\u202ed\\x9be\\nforged  line") == 3
    assert not set("\x1b\x07\u202e\x9b") & set(shown)
    assert rendering.plain("größer 模型") == "größer 模型"


@pytest.mark.parametrize("seconds", [-(2**62), 253_402_300_799, 253_402_300_800, 2**62])
def test_every_time_has_a_text(seconds):
    """Times that no calendar holds are printed as seconds instead of failing."""
    stamp = Timestamp(seconds=seconds)
    assert rendering.time_text(stamp)
    assert rendering.moment_text(resources_pb2.Model(create_time=stamp), "create_time")


def test_figures_stay_whole_at_eighty_columns(capsys, monkeypatch):
    """At 80 columns figures and versions keep to one line, and only long texts are folded."""
    monkeypatch.setattr(rendering, "PLAIN_WIDTH", 80)
    row = (
        "digits@12",
        "0.9876",
        "1,234,567",
        "2,345,678",
        "3,456,789",
        "12",
        "1.23 ms",
        "45.6 ms",
        "123.4 KiB",
        "local",
    )
    tables = top.version_tables([row], 80)
    assert all(rendering.least_width(table) <= 80 for table in tables)
    rendering.widened(rendering.console(), tables).print(*tables)
    rendering.print_table(("revision>", "when", "reason"), [("123456", "2026-01-02 03:04:05", "why " * 40)])
    shown = capsys.readouterr().out
    for cell in (*row, "123456  2026-01-02 03:04:05  why"):
        assert cell in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_a_defect_is_one_line(here, monkeypatch):
    """An exception that nobody foresaw prints one line that names it and exits with 1."""
    monkeypatch.setattr(program, "app", lambda *_, **__: {}["missing\x1b"])
    code, output, errors = here("models")
    assert (code, output) == (1, "")
    assert errors.startswith("error: internal error: KeyError: ")
    assert errors.count("\n") == 1


@pytest.mark.parametrize(("name", "content"), [("x.bin", b"\xff\xfe\x00"), ("x.npy", b""), ("x.npy", b"PK\x03\x04no")])
def test_binary_inputs_are_refused_by_name(tmp_path, name, content):
    """A file that is neither JSON nor an array is INPUT_INVALID and named."""
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InvalidArgumentError, match=name):
        predict.read_input("input", f"@{path}", {"input": ("FP32", [-1])})


def test_wrong_tls_files_are_named(tmp_path):
    """Garbage, another certificate's key and a foreign authority are each reported with the file."""
    create_authority(tmp_path / "a", ["one", "two"])
    create_authority(tmp_path / "b", ["one"])
    cert, key, authority = (tmp_path / "a" / name for name in ("one.crt", "one.key", "ca.crt"))
    junk = tmp_path / "junk"
    junk.write_text("junk")
    check_files(TlsSettings(cert, key, authority))
    wrong = {
        "NEURALMESH_TLS_CERT: .*junk": (junk, key, authority),
        "NEURALMESH_TLS_KEY: .*junk": (cert, junk, authority),
        "NEURALMESH_TLS_CA: .*junk": (cert, key, junk),
        "two.key is not the key": (cert, tmp_path / "a" / "two.key", authority),
        "ca.crt did not sign": (cert, key, tmp_path / "b" / "ca.crt"),
    }
    for message, files in wrong.items():
        with pytest.raises(SettingsError, match=message):
            check_files(TlsSettings(*files))
