"""The import rules of the house."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SERVER = ROOT / "services" / "neuralmesh_server"
CLIENT = ROOT / "clients" / "python" / "src" / "neuralmesh"
KERNEL = ROOT / "native" / "liam_core"
SERVICES = ("registry", "inference", "metrics", "labor")


def is_edge(path: Path) -> bool:
    """Say whether a module of a service stands between the domain and grpc or protobuf."""
    return path.name in {"service.py", "node_service.py", "worker_service.py", "app.py"} or path.name.startswith(
        ("convert", "validate", "link_")
    )


def modules(folder: Path) -> list[Path]:
    """Return the hand-written modules below a folder."""
    return sorted(path for path in folder.rglob("*.py") if not path.stem.endswith(("_pb2", "_pb2_grpc")))


def imported(path: Path, *, runtime_only: bool = False) -> Iterator[str]:
    """Yield the absolute names that a module imports, those for type checkers included unless told otherwise."""
    tree = ast.parse(path.read_text())
    skipped: set[ast.AST] = set()
    if runtime_only:
        for node in ast.walk(tree):
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
                skipped.update(child for statement in node.body for child in ast.walk(statement))
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported_at_load(path: Path) -> Iterator[str]:
    """Yield what a module imports by being imported: statements of its own, outside of functions and type checking."""
    for statement in ast.parse(path.read_text()).body:
        if isinstance(statement, ast.Import):
            yield from (alias.name for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            yield statement.module or ""


def package_of(name: str) -> str:
    """Return the first part of a dotted name."""
    return name.partition(".")[0]


def relative(path: Path) -> str:
    """Return a path below the repository."""
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("service", SERVICES)
def test_services_do_not_import_one_another(service: str) -> None:
    """A service reaches another one only over gRPC."""
    others = tuple(f"neuralmesh_server.{other}" for other in SERVICES if other != service)
    found = [
        f"{relative(path)} imports {name}"
        for path in modules(SERVER / service)
        for name in imported(path)
        if name.startswith(others)
    ]
    assert found == []
    assert modules(SERVER / service), "the rule looked at nothing"


def test_runtime_and_shared_modules_import_no_service() -> None:
    """What the services share does not know them."""
    shared = [*modules(SERVER / "runtime"), *SERVER.glob("*.py")]
    services = tuple(f"neuralmesh_server.{service}" for service in SERVICES)
    found = [
        f"{relative(path)} imports {name}"
        for path in shared
        if path.name not in {"__main__.py", "cli.py"}
        for name in imported(path)
        if name.startswith(services)
    ]
    assert found == []


def test_grpc_is_known_only_at_the_edges() -> None:
    """Only service edges, composition roots, the runtime and the client know grpc."""
    found = []
    for path in modules(SERVER):
        inside = path.relative_to(SERVER).parts
        if inside[0] in {"runtime", "cli", "demo", "load"} or is_edge(path):
            continue
        found += [relative(path) for name in imported(path) if package_of(name) in {"grpc", "grpc_status"}]
    assert found == []


def test_domains_know_no_protobuf_and_no_concrete_store() -> None:
    """Domain modules import neither protobuf nor a store's implementation."""
    found = []
    for service in SERVICES:
        for path in modules(SERVER / service):
            if is_edge(path) or path.name.startswith("store_"):
                continue
            found += [
                f"{relative(path)} imports {name}"
                for name in imported(path)
                if package_of(name) in {"google", "apsw"} or "_pb2" in name or ".store_" in name
            ]
    assert found == []


def test_only_the_composition_root_sees_concrete_stores() -> None:
    """Stores are chosen in app.py and nowhere else."""
    found = [
        f"{relative(path)} imports {name}"
        for service in SERVICES
        for path in modules(SERVER / service)
        if path.name != "app.py" and not path.name.startswith("store_")
        for name in imported(path)
        if ".store_" in name
    ]
    assert found == []


def test_client_never_imports_the_server() -> None:
    """The client stands alone, but for the door to a node within a program, which opens only when it is asked for."""
    door = CLIENT / "embedded.py"
    at_work = {package_of(name) for name in imported(door, runtime_only=True)}
    at_load = {package_of(name) for name in imported_at_load(door)}
    assert "neuralmesh_server" in at_work
    assert "neuralmesh_server" not in at_load
    found = [
        f"{relative(path)} imports {name}"
        for path in modules(CLIENT)
        if path != door
        for name in imported(path)
        if package_of(name) in {"neuralmesh_server", "liam_core"}
    ]
    assert found == []


def test_kernel_imports_nothing_of_the_rest() -> None:
    """liam_core needs NumPy, cffi and the standard library."""
    permitted = {"liam_core", "numpy", "cffi", *sys.stdlib_module_names}
    found = [
        f"{relative(path)} imports {name}"
        for path in modules(KERNEL)
        for name in imported(path)
        if package_of(name) not in permitted
    ]
    assert found == []


def test_only_settings_read_the_environment() -> None:
    """os.environ appears in settings' callers at the process edge and in the transport, nowhere else."""
    permitted = {"runtime/transport.py", "runtime/healthcheck.py", "__main__.py"}
    found = []
    for path in modules(SERVER):
        name = str(path.relative_to(SERVER))
        if name in permitted or name.startswith(("cli", "demo")):
            continue
        text = path.read_text()
        if "os.environ" in text or "os.getenv" in text:
            found.append(relative(path))
    assert found == []


def test_there_are_no_import_cycles() -> None:
    """Modules can be read one after the other."""
    graph: dict[str, set[str]] = {}
    roots = {"neuralmesh_server": SERVER, "neuralmesh": CLIENT, "liam_core": KERNEL}
    names: dict[str, Path] = {}
    for package, folder in roots.items():
        for path in modules(folder):
            parts = [package, *path.relative_to(folder).with_suffix("").parts]
            names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    for name, path in names.items():
        graph[name] = {other for other in imported(path, runtime_only=True) if other in names and other != name}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join([*trail[trail.index(name) :], name])
        if name in done:
            return
        for other in sorted(graph[name]):
            # a package's facade imports its modules; that a module names its package is no cycle of modules
            if not name.startswith(other + "."):
                visit(other, (*trail, name))
        done.add(name)

    for name in sorted(graph):
        visit(name, ())
    assert len(done) == len(names)


def test_no_pickle_anywhere() -> None:
    """Nothing that could execute stored bytes is imported."""
    forbidden = {"pickle", "cloudpickle", "joblib", "marshal", "shelve", "dill"}
    found = [
        f"{relative(path)} imports {name}"
        for folder in (SERVER, CLIENT, KERNEL)
        for path in modules(folder)
        for name in imported(path)
        if package_of(name) in forbidden
    ]
    assert found == []


def test_data_sets_know_neither_models_nor_jobs() -> None:
    """Whatever reads rows can use them: they are below the services and their engines."""
    permitted = tuple(f"neuralmesh_server.{name}" for name in ("datasets", "errors", "canonical"))
    found = [
        f"{relative(path)} imports {name}"
        for path in modules(SERVER / "datasets")
        for name in imported(path)
        if (name.startswith("neuralmesh_server.") and not name.startswith(permitted))
        or package_of(name) in {"grpc", "google", "neuralmesh", "liam_core"}
    ]
    assert found == []
    assert modules(SERVER / "datasets"), "the rule looked at nothing"
