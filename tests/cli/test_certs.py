"""The development authority, and mutual TLS made of its files."""

from __future__ import annotations

import stat
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from neuralmesh import Client, TlsFiles, exceptions
from neuralmesh_server.errors import AlreadyExistsError, InvalidArgumentError
from neuralmesh_server.runtime.certificates import create_authority
from tests.cli.processes import PROGRAM, clean_environment
from tests.processes import PATIENCE


def test_certificates_have_names_keys_and_modes(tmp_path):
    """Each certificate is EC P-256, names its holder and the loopback, is signed by the authority; keys are private."""
    made = create_authority(tmp_path / "certs", ["registry", "client"])
    assert [item.name for item in made] == ["ca", "registry", "client"]
    authority = x509.load_pem_x509_certificate(made[0].certificate.read_bytes())
    assert authority.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    for item in made[1:]:
        certificate = x509.load_pem_x509_certificate(item.certificate.read_bytes())
        certificate.verify_directly_issued_by(authority)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.DNSName) == [item.name, "localhost"]
        assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]
        assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
        assert isinstance(certificate.public_key().curve, ec.SECP256R1)
    for item in made:
        assert stat.S_IMODE(item.key.stat().st_mode) == 0o600


def test_existing_files_are_replaced_only_by_force(tmp_path):
    """A second run is refused and changes nothing; --force replaces the files and mends their modes."""
    made = create_authority(tmp_path, ["a"])
    before = made[1].key.read_bytes()
    made[1].key.chmod(0o644)
    with pytest.raises(AlreadyExistsError, match=r"ca\.crt exists"):
        create_authority(tmp_path, ["b"])
    assert not (tmp_path / "b.key").exists()
    assert made[1].key.read_bytes() == before
    create_authority(tmp_path, ["a"], force=True)
    assert made[1].key.read_bytes() != before
    assert stat.S_IMODE(made[1].key.stat().st_mode) == 0o600


@pytest.mark.parametrize("names", [[], ["ca"], ["../x"], ["A"], ["a", "a"], ["a b"], ["-a"], ["a" * 64], ["é"]])
def test_wrong_names_are_refused(tmp_path, names):
    """Names that could leave the folder, collide or not be a host name are refused before anything is written."""
    with pytest.raises(InvalidArgumentError):
        create_authority(tmp_path / "certs", names)
    assert not (tmp_path / "certs").exists()


def test_the_command_writes_them_and_says_how_to_use_them(commands, tmp_path):
    """`certs` prints the files and the variables to set; again it fails with the code of a conflict."""
    done = commands.run("certs", "--out", tmp_path / "c", "--names", "registry,ada")
    assert f"NEURALMESH_TLS_CERT={tmp_path / 'c' / 'ada.crt'}" in done.stdout
    assert "--force" in commands.error("certs", "--out", tmp_path / "c", code=5)
    names = [item["name"] for item in commands.json("certs", "--out", tmp_path / "c", "--force")]
    assert names == ["ca", "registry", "inference", "metrics", "labor", "client"]


@pytest.fixture
def secured(tmp_path):
    """Return the address of a registry with mutual TLS, and the folder of its authority."""
    folder = tmp_path / "certs"
    create_authority(folder, ["registry", "ada"])
    create_authority(tmp_path / "others", ["ada"])
    tls = ["--tls-cert", folder / "registry.crt", "--tls-key", folder / "registry.key", "--tls-ca", folder / "ca.crt"]
    process = subprocess.Popen(
        [*PROGRAM, "registry", "--listen", "127.0.0.1:0", "--data", str(tmp_path / "data"), *map(str, tls)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment(),
    )
    words = process.stdout.readline().split()
    assert words[:2] == ["listening", "registry"]
    yield words[2], tmp_path
    process.terminate()
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 0


def _files(folder) -> TlsFiles:
    return TlsFiles(ca=folder / "ca.crt", cert=folder / "ada.crt", key=folder / "ada.key")


def test_the_certificate_says_who_the_actor_is(secured, commands):
    """With a certificate the actor is its common name, proved, whatever the caller claims."""
    address, root = secured
    with Client(registry=address, tls=_files(root / "certs"), actor="mallory") as client:
        version = client.push("m", files={"w": b"1"}, kind="test")
    assert (version.actor.id, version.actor.authenticated) == ("ada", True)
    certs = root / "certs"
    flags = ("--tls-ca", certs / "ca.crt", "--tls-cert", certs / "ada.crt", "--tls-key", certs / "ada.key")
    assert commands.json("show", "m@1", "--registry", address, *flags)["actor"]["id"] == "ada"
    error = commands.error("show", "m@1", "--registry", address, *flags[:2], code=2)
    assert "NEURALMESH_TLS_KEY" in error


def test_strangers_are_refused(secured, commands):
    """Without a certificate, or with one of another authority, no call is answered."""
    address, root = secured
    commands.error("models", "--registry", address, "--timeout", "5", code=4)
    with (
        Client(registry=address, tls=_files(root / "others"), timeout=5.0) as client,
        pytest.raises(exceptions.UnavailableError, match=address),
    ):
        client.registry.get_model("m")
    mixed = TlsFiles(ca=root / "certs" / "ca.crt", cert=root / "others" / "ada.crt", key=root / "others" / "ada.key")
    with (
        Client(registry=address, tls=mixed, timeout=5.0) as client,
        pytest.raises(exceptions.UnavailableError, match=address),
    ):
        client.registry.get_model("m")
