"""The supervisor of workers, with workers that are small scripts: starts, replacements, refusals to start or to end."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from neuralmesh_server.runtime import workers
from neuralmesh_server.runtime.workers import Port, Supervisor
from neuralmesh_server.settings import Endpoint, SettingsError
from tests.processes import until

ANNOUNCE = "import os, signal, sys, time\nprint('listening test 127.0.0.1:1', flush=True)\n"
OBEDIENT = ANNOUNCE + "signal.sigwait([signal.SIGTERM])\n"
BLOCKED = "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])\n"


def supervisor(script: str, *environments: dict[str, str], drain_seconds: float = 5.0) -> Supervisor:
    """Return a supervisor whose workers run a script."""
    return Supervisor(
        name="test",
        command=[sys.executable, "-c", BLOCKED + script],
        environments=[{**os.environ, **environment} for environment in environments],
        endpoint=Endpoint("127.0.0.1", 1),
        drain_seconds=drain_seconds,
    )


class Output:
    """What the supervisor says on standard output, beside its log."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self._text = ""

    def lines(self) -> list[str]:
        """Return the announcements so far."""
        self._text += self._capsys.readouterr().out
        return [line for line in self._text.splitlines() if line.startswith("listening")]


@pytest.fixture
def output(capsys: pytest.CaptureFixture[str]) -> Output:
    return Output(capsys)


async def comes(holds: Callable[[], bool]) -> None:
    """Return when a condition holds."""
    await asyncio.to_thread(until, holds, "the supervisor did what it should")


def lines(path: Path) -> int:
    """Return how many lines a file has; none when it is not there."""
    return len(path.read_text().splitlines()) if path.exists() else 0


async def test_all_workers_are_announced_by_one_line(output: Output) -> None:
    """The line comes when every worker listens; SIGTERM ends all of them with exit code 0."""
    running = asyncio.create_task(supervisor(OBEDIENT, {}, {}, {}).run())
    await comes(lambda: bool(output.lines()))
    assert output.lines() == ["listening test 127.0.0.1:1"]
    os.kill(os.getpid(), signal.SIGTERM)
    assert await running == 0


async def test_a_worker_that_cannot_start_ends_the_others(output: Output) -> None:
    """When one ends before it listens, nothing is announced, the rest is stopped and the exit code is 1."""
    script = "import os, sys\nif os.environ['N'] == '2': sys.exit(3)\n" + OBEDIENT
    assert await supervisor(script, {"N": "1"}, {"N": "2"}).run() == 1
    assert output.lines() == []


async def test_dead_workers_are_replaced_ever_more_slowly(
    tmp_path: Path, output: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that dies at once is started again and again, each time after a longer pause up to the longest."""
    monkeypatch.setattr(workers, "FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(workers, "LONGEST_PAUSE_SECONDS", 0.004)
    log = tmp_path / "starts"
    script = ANNOUNCE + f"open({str(log)!r}, 'a').write('x\\n')\ntime.sleep(0.05)\nsys.exit(1)\n"
    watched = supervisor(script, {})
    running = asyncio.create_task(watched.run())
    await comes(lambda: lines(log) >= 5)
    assert watched._workers[0].pause == 0.004
    os.kill(os.getpid(), signal.SIGTERM)
    assert await running == 0
    assert len(output.lines()) == 1


async def test_a_worker_that_does_not_end_is_killed(output: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that goes on beyond the time to drain is killed, and the exit code says so."""
    monkeypatch.setattr(workers, "EXIT_SECONDS", 0.1)
    running = asyncio.create_task(supervisor(ANNOUNCE + "time.sleep(1000)\n", {}, drain_seconds=0.1).run())
    await comes(lambda: bool(output.lines()))
    os.kill(os.getpid(), signal.SIGTERM)
    assert await running == 1


async def test_workers_hear_of_the_end_of_their_supervisor(tmp_path: Path) -> None:
    """Standard input of a worker ends when the process that holds the supervisor does, even by kill -9."""
    log = tmp_path / "ends"
    worker = ANNOUNCE + f"sys.stdin.read()\nopen({str(log)!r}, 'a').write('x\\n')\n"
    script = (
        "import asyncio, sys\n"
        "from neuralmesh_server.runtime.workers import Supervisor\n"
        "from neuralmesh_server.runtime import logs\n"
        "from neuralmesh_server.settings import Endpoint\n"
        "logs.configure()\n"
        "asyncio.run(Supervisor(name='test', command=[sys.executable, '-c', sys.argv[1]], environments=[{}, {}],\n"
        "            endpoint=Endpoint('127.0.0.1', 1), drain_seconds=1).run())\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, worker, stdout=asyncio.subprocess.PIPE, env=environment
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"listening test 127.0.0.1:1\n"
    process.kill()
    await comes(lambda: lines(log) == 2)
    await process.wait()


def test_a_port_is_kept_and_not_listened_on() -> None:
    """The port that is held is known, can be shared by those who ask for that, and refuses connections until then."""
    port = Port(Endpoint("127.0.0.1", 0))
    assert port.endpoint.port > 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port.endpoint.port))
    with socket.socket() as stranger, pytest.raises(OSError, match="in use"):
        stranger.bind(("127.0.0.1", port.endpoint.port))
    with socket.socket() as worker:
        worker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        worker.bind(("127.0.0.1", port.endpoint.port))
        worker.listen()
        with pytest.raises(SettingsError, match="cannot listen on"):
            Port(port.endpoint)
    port.close()


@pytest.mark.parametrize("host", ["no-such-host.invalid", "203.0.113.7"])
def test_addresses_that_are_not_ours_are_settings_errors(host: str) -> None:
    """A host that is unknown, or another machine's, is named."""
    with pytest.raises(SettingsError, match=host):
        Port(Endpoint(host, 0))
