"""`neuralmesh models`, `versions` and `show`: what the registry holds."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Annotated, Any

import typer

from neuralmesh_server.cli import reference, rendering
from neuralmesh_server.cli.connection import connected
from neuralmesh_server.cli.narration import check_text, policy_text, protection_text, short, state_text
from neuralmesh_server.cli.rendering import Json  # noqa: TC001 - typer evaluates it
from neuralmesh_server.names import check_model

if TYPE_CHECKING:
    from neuralmesh import Client

CHECKS = 20
"""Most checks that are shown, the newest."""

Model = Annotated[str, typer.Argument(metavar="MODEL", help="Name of the model.")]


@connected
def models(client: Client, *, json: Json = False) -> None:
    """List the models and the versions that their aliases name."""
    found = [(model, list(client.registry.list_aliases(short(model.name)))) for model in client.registry.list_models()]
    if json:
        rendering.print_json(
            [
                {**rendering.as_json(model), "aliases": [rendering.as_json(alias) for alias in aliases]}
                for model, aliases in found
            ]
        )
        return
    if not found:
        rendering.print_line("no models yet; `neuralmesh push MODEL FILE` makes one")
        return
    rendering.print_table(
        ("model", "versions>", "aliases", "created", "description"),
        (
            (
                short(model.name),
                str(model.latest_version),
                ", ".join(f"{short(alias.name)}={state_text(alias.state)}" for alias in aliases),
                rendering.moment_text(model, "create_time"),
                model.description,
            )
            for model, aliases in found
        ),
    )


@connected
def versions(client: Client, *, model: Model, json: Json = False) -> None:
    """List the versions of a model, newest first."""
    check_model(model)
    found = list(client.registry.list_versions(model))
    names: dict[int, list[str]] = {}
    for alias in client.registry.list_aliases(model):
        for version, name in _naming(alias):
            names.setdefault(version, []).append(name)
    if json:
        rendering.print_json(
            [{**rendering.as_json(version), "aliases": names.get(version.version, [])} for version in found]
        )
        return
    wide = rendering.console().width >= rendering.WIDE  # a narrow terminal has no room for digests; `show` has them
    rendering.print_table(
        ("version>", "aliases", "kind", "size>", *(("digest",) if wide else ()), "created", "by", "description"),
        (
            (
                str(version.version),
                ", ".join(names.get(version.version, [])),
                version.kind,
                rendering.size_text(version.size_bytes),
                *((rendering.digest_text(version.digest),) if wide else ()),
                rendering.moment_text(version, "create_time"),
                rendering.actor_text(version.actor),
                version.description,
            )
            for version in found
        ),
    )


@connected
def show(
    client: Client,
    *,
    what: Annotated[str, typer.Argument(metavar="MODEL[@VERSION|@ALIAS]", help="A model or one of its versions.")],
    json: Json = False,
) -> None:
    """Show a model, or one version with its files and signature."""
    model, which = reference.split(what)
    if which:
        number = reference.version_number(client, model, which)
        _show_version(client.registry.get_version(model, number), _checks(client, model, number), json=json)
    else:
        _show_model(client, model, json=json)


def _show_model(client: Client, name: str, *, json: bool) -> None:
    model = client.registry.get_model(name)
    aliases = list(client.registry.list_aliases(name))
    checks = _checks(client, name)
    if json:
        rendering.print_json(
            {
                **rendering.as_json(model),
                "aliases": [rendering.as_json(alias) for alias in aliases],
                "checks": [rendering.as_json(check) for check in checks],
            }
        )
        return
    rendering.print_facts(
        (
            ("model", name),
            ("number", str(model.uid)),
            ("versions", str(model.latest_version)),
            ("created", rendering.moment_text(model, "create_time")),
            ("description", model.description),
            ("policy", policy_text(model.policy) if model.HasField("policy") else ""),
            *(
                (f"{short(alias.name)} protected", protection_text(alias.protection))
                for alias in aliases
                if alias.HasField("protection")
            ),
        )
    )
    if aliases:
        rendering.print_table(
            ("alias", "version", "moved", "by", "reason", "rollback goes through"),
            (
                (
                    short(alias.name),
                    state_text(alias.state),
                    rendering.moment_text(alias, "update_time"),
                    rendering.actor_text(alias.actor),
                    alias.reason,
                    ", ".join(str(version) for version in alias.rollback_versions),
                )
                for alias in aliases
            ),
        )
    _print_checks(checks)


def _checks(client: Client, model: str, version: int | str = "") -> list[Any]:
    return list(itertools.islice(client.registry.list_checks(model, version), CHECKS))


def _print_checks(checks: list[Any]) -> None:
    if checks:
        rendering.print_table(
            ("check", "version>", "found", "recorded", "by", "plan"),
            (
                (
                    check.kind,
                    short(check.version),
                    check_text(check),
                    rendering.moment_text(check, "create_time"),
                    rendering.actor_text(check.actor),
                    rendering.digest_text(check.plan_digest),
                )
                for check in checks
            ),
        )


def _naming(alias: Any) -> list[tuple[int, str]]:
    """Return each version that an alias names, and as what."""
    name, state = short(alias.name), alias.state
    arms = [(getattr(state, arm).version, f"{name} {arm}") for arm in ("canary", "shadow") if state.HasField(arm)]
    return [(state.version, name), *arms]


def _show_version(version: Any, checks: list[Any], *, json: bool) -> None:
    if json:
        found = [rendering.as_json(check) for check in checks]
        rendering.print_json({**rendering.as_json(version), "checks": found})
        return
    rendering.print_facts(
        (
            ("version", version.name),
            ("digest", version.digest),
            ("kind", version.kind),
            ("size", rendering.size_text(version.size_bytes)),
            ("created", rendering.moment_text(version, "create_time")),
            ("by", rendering.actor_text(version.actor)),
            ("description", version.description),
            *((f"metadata {key}", version.metadata[key]) for key in sorted(version.metadata)),
        )
    )
    rendering.print_table(
        ("file", "size>", "digest"),
        ((file.path, rendering.size_text(file.size_bytes), file.digest) for file in version.files),
    )
    if version.HasField("signature"):
        signature = version.signature
        rendering.print_table(
            ("tensor", "name", "datatype", "shape", ""),
            [_tensor("input", spec, "") for spec in signature.inputs]
            + [_tensor("output", spec, signature.label_output) for spec in signature.outputs],
        )
    _print_checks(checks)


def _tensor(what: str, spec: Any, label_output: str) -> tuple[str, ...]:
    shape = "[" + ", ".join(str(size) for size in spec.shape) + "]"
    return what, spec.name, spec.datatype, shape, "label" if spec.name == label_output else ""
