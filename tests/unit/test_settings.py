"""Settings and the environment."""

from pathlib import Path

import pytest

from neuralmesh_server.settings import (
    Endpoint,
    InferenceSettings,
    MetricsSettings,
    RegistrySettings,
    ServerSettings,
    SettingsError,
    TlsSettings,
)


def test_defaults_listen_on_loopback() -> None:
    """Without any variable every service listens on its documented port on this machine only."""
    assert str(RegistrySettings.from_env({}).server.listen) == "127.0.0.1:8003"
    assert str(MetricsSettings.from_env({}).server.listen) == "127.0.0.1:8004"
    assert str(InferenceSettings.from_env({}).server.listen) == "127.0.0.1:8001"
    assert str(MetricsSettings.from_env({}).http) == "127.0.0.1:8002"
    assert RegistrySettings.from_env({}).http is None


def test_the_registry_serves_http_where_it_is_told_to() -> None:
    """The fleet's figures are off unless a variable says where; a wrong address names the variable."""
    told = RegistrySettings.from_env({"NEURALMESH_REGISTRY_HTTP": "127.0.0.1:9"})
    assert str(told.http) == "127.0.0.1:9"
    with pytest.raises(SettingsError, match="NEURALMESH_REGISTRY_HTTP"):
        RegistrySettings.from_env({"NEURALMESH_REGISTRY_HTTP": "nowhere"})


@pytest.mark.parametrize("text", ["", "host", ":80", "host:", "host:port", "host:99999", "host:-1", "host:٣"])
def test_bad_endpoints_name_their_setting(text: str) -> None:
    """An endpoint that is not host:port is refused with the name of its variable."""
    with pytest.raises(SettingsError, match="NEURALMESH_REGISTRY_LISTEN"):
        RegistrySettings.from_env({"NEURALMESH_REGISTRY_LISTEN": text})


@pytest.mark.parametrize("text", ["127.0.0.1:0", "localhost:8003", "[::1]:8003", "127.1.2.3:1"])
def test_loopback_needs_no_tls(text: str) -> None:
    """Plain text is permitted where only this machine can connect."""
    assert ServerSettings(Endpoint.parse(text, name="x")).listen.is_loopback


@pytest.mark.parametrize("text", ["0.0.0.0:8003", "[::]:8003", "10.1.2.3:8003", "example:8003"])
def test_other_addresses_need_tls_or_an_explicit_word(text: str) -> None:
    """Plain text towards others is refused unless --insecure says so."""
    listen = Endpoint.parse(text, name="x")
    with pytest.raises(SettingsError, match="--insecure"):
        ServerSettings(listen)
    assert ServerSettings(listen, insecure=True).listen == listen


def test_endpoints_print_as_they_parse() -> None:
    """IPv6 addresses keep their brackets."""
    for text in ("[::1]:8003", "127.0.0.1:1"):
        assert str(Endpoint.parse(text, name="x")) == text


def test_tls_needs_all_three_files(tmp_path: Path) -> None:
    """Half a TLS configuration is an error, and so is a file that is not there."""
    with pytest.raises(SettingsError, match="only NEURALMESH_TLS_CERT is set"):
        TlsSettings.from_env({"NEURALMESH_TLS_CERT": "x"})
    names = {f"NEURALMESH_TLS_{part}": str(tmp_path / part) for part in ("CERT", "KEY", "CA")}
    with pytest.raises(SettingsError, match="NEURALMESH_TLS_CERT: no file"):
        TlsSettings.from_env(names)
    for path in names.values():
        Path(path).touch()
    assert TlsSettings.from_env(names) == TlsSettings(tmp_path / "CERT", tmp_path / "KEY", tmp_path / "CA")
    assert TlsSettings.from_env({}) is None


@pytest.mark.parametrize("text", ["often", "-1", "inf", "nan"])
def test_bad_numbers_name_their_setting(text: str) -> None:
    """A number that is none, or negative, or endless is refused by name."""
    with pytest.raises(SettingsError, match="NEURALMESH_TELEMETRY_SECONDS"):
        InferenceSettings.from_env({"NEURALMESH_TELEMETRY_SECONDS": text})


def test_bad_switch_names_its_setting() -> None:
    """A switch that is neither true nor false is refused by name."""
    with pytest.raises(SettingsError, match="NEURALMESH_INSECURE"):
        RegistrySettings.from_env({"NEURALMESH_INSECURE": "maybe"})


@pytest.mark.parametrize("node", ["", "Edge", "-a", "a.b", "a" * 64])
def test_bad_node_names_are_refused(node: str) -> None:
    """A node's name goes into prediction ids and has their form."""
    with pytest.raises(SettingsError, match="NEURALMESH_NODE"):
        InferenceSettings.from_env({"NEURALMESH_NODE": node})


def test_workers_are_nodes_with_folders_of_their_own() -> None:
    """A worker's settings follow from the common ones and its number: name, folder, shared port; one has the socket."""
    env = {
        "NEURALMESH_INFERENCE_WORKERS": "3",
        "NEURALMESH_NODE": "edge",
        "NEURALMESH_INFERENCE_DATA": "/data",
        "NEURALMESH_INFERENCE_SOCKET": "/run/s",
    }
    supervisor = InferenceSettings.from_env(env)
    assert (supervisor.workers, supervisor.worker, supervisor.server.shared_port) == (3, 0, False)
    assert supervisor.shared == supervisor.data == Path("/data")
    first, second = (InferenceSettings.from_env({**env, "NEURALMESH_INFERENCE_WORKER": str(n)}) for n in (1, 2))
    assert (first.node, first.data, first.shared) == ("edge-1", Path("/data/worker-1"), Path("/data"))
    assert (second.node, second.data, second.shared) == ("edge-2", Path("/data/worker-2"), Path("/data"))
    assert first.server.shared_port
    assert first.server.socket == Endpoint.unix("/run/s", name="x")
    assert second.server.socket is None


@pytest.mark.parametrize("env", [{"WORKERS": "0"}, {"WORKERS": "65"}, {"WORKERS": "2", "WORKER": "3"}])
def test_impossible_workers_are_refused(env: dict[str, str]) -> None:
    """A number of workers, or of a worker, that cannot be is named."""
    with pytest.raises(SettingsError, match="NEURALMESH_INFERENCE_WORKER"):
        InferenceSettings.from_env({f"NEURALMESH_INFERENCE_{name}": value for name, value in env.items()})


def test_a_workers_name_must_fit() -> None:
    """A node name that its number makes too long is refused."""
    env = {"NEURALMESH_NODE": "a" * 62, "NEURALMESH_INFERENCE_WORKERS": "2", "NEURALMESH_INFERENCE_WORKER": "2"}
    with pytest.raises(SettingsError, match="NEURALMESH_NODE"):
        InferenceSettings.from_env(env)


def test_tokens_do_not_show(tmp_path: Path) -> None:
    """A token is in no text of the settings, and its file does not permit plain text beyond loopback."""
    settings = InferenceSettings.from_env({"NEURALMESH_TOKEN": "nmt_secret", "NEURALMESH_TOKENS": "/etc/t.json"})
    assert settings.token == "nmt_secret"
    assert "nmt_secret" not in repr(settings)
    assert settings.server.tokens == Path("/etc/t.json")
    with pytest.raises(SettingsError, match="read tokens"):
        ServerSettings(Endpoint("0.0.0.0", 1), tokens=tmp_path)  # noqa: S104 - the address under test


def test_empty_metrics_address_switches_telemetry_off() -> None:
    """A node can run without a metrics service."""
    assert InferenceSettings.from_env({"NEURALMESH_METRICS": ""}).metrics is None
