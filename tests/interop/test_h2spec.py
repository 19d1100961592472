"""h2spec, the conformance suite of HTTP/2 and HPACK, against a server that listens with the native front."""

import asyncio
from pathlib import Path
from xml.etree import ElementTree as ET

from tests.runtime.echo import INFER, make_server

from .conftest import TOOLS

AT_ONCE = "a plain request is answered with 405 before the frame that matters is read, and its stream is closed then"
PLAIN = "a plain request with a body is answered with 415 when its fields are read; for calls see test_front_calls.c"
FAILS = {
    ("generic/2", "Sends a WINDOW_UPDATE frame on half-closed (remote) stream"): AT_ONCE,
    ("generic/2", "Sends a PRIORITY frame on half-closed (remote) stream"): AT_ONCE,
    (
        "http2/4.2",
        "Sends a large size HEADERS frame that exceeds the SETTINGS_MAX_FRAME_SIZE",
    ): "it sends 20 kB and takes 16 KiB for the limit, which is 256 KiB here",
    (
        "http2/5.1.2",
        "Sends HEADERS frames that causes their advertised concurrent stream limit to be exceeded",
    ): AT_ONCE,
    ("http2/6.9", "Sends a WINDOW_UPDATE frame with a flow control window increment of 0 on a stream"): AT_ONCE,
    (
        "http2/6.9.1",
        "Sends multiple WINDOW_UPDATE frames increasing the flow control window to above 2^31-1 on a stream",
    ): AT_ONCE,
    (
        "http2/8.1.2.6",
        'Sends a HEADERS frame with the "content-length" header field which does not equal the DATA frame payload length',
    ): PLAIN,
    (
        "http2/8.1.2.6",
        (
            'Sends a HEADERS frame with the "content-length" header field which does not equal the sum of the multiple '
            "DATA frames payload length"
        ),
    ): PLAIN,
}
"""Cases that fail, each with its reason."""

NO_DATA = "it needs an answer with a body, which 405 has not"
SKIPPED = {
    ("http2/6.5.3", "Sends multiple values of SETTINGS_INITIAL_WINDOW_SIZE"): NO_DATA,
    ("http2/6.9.1", "Sends SETTINGS frame to set the initial window size to 1 and sends HEADERS frame"): NO_DATA,
    ("http2/6.9.2", "Changes SETTINGS_INITIAL_WINDOW_SIZE after sending HEADERS frame"): NO_DATA,
    ("http2/6.9.2", "Sends a SETTINGS frame for window size to be negative"): NO_DATA,
}
"""Cases that h2spec leaves out, each with its reason."""


async def test_h2spec_finds_what_is_known(tmp_path: Path) -> None:
    """Of all cases, strict ones included, those fail that are expected to, and no others."""
    report = tmp_path / "report.xml"
    server = make_server()
    endpoint = await server.start()
    command = [str(TOOLS / "bin" / "h2spec"), "--strict", "-h", endpoint.host, "-p", str(endpoint.port)]
    command += ["-P", INFER, "-j", str(report)]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.DEVNULL)
    await process.wait()
    await server.stop()
    cases = list(ET.parse(report).iter("testcase"))  # noqa: S314 - written by the tool
    found = {tag: {(case.attrib["package"], case.attrib["classname"]) for case in cases if case.find(tag) is not None}
             for tag in ("error", "failure", "skipped")}  # fmt: skip
    assert found == {"error": FAILS.keys(), "failure": set(), "skipped": SKIPPED.keys()}
    assert len(cases) == 146
