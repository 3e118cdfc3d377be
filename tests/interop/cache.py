"""What the journeys need from package registries, fetched once and kept.

The folder is `$XDG_CACHE_HOME/keywright-interop`, else `.cache/interop` in the checkout.
"""

import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
CHECKOUT = HERE.parent.parent
KEYCLOAK_VERSION = os.environ.get("KEYCLOAK_VERSION", "26.7.4")
DEPENDENCY_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1"
# The client libraries need Node.js 20; Debian 12 has 18, so the registry's own is used then.
NODE_MAJOR = 20
NODE_PACKAGE = "node@22.23.3"


def folder():
    """Where everything fetched is kept."""
    xdg = os.environ.get("XDG_CACHE_HOME")
    return pathlib.Path(xdg) / "keywright-interop" if xdg else CHECKOUT / ".cache/interop"


def python():
    """The interpreter that has the packages of requirements.txt."""
    return folder() / "venv/bin/python"


def node():
    """A Node.js that the client libraries accept."""
    own = folder() / "node/node_modules/node/bin/node"
    return own if own.exists() else pathlib.Path(shutil.which("node") or "node")


def node_script(name):
    """A script of this folder, linked beside the packages so that it finds them."""
    link = folder() / "npm" / name
    link.write_bytes((HERE / name).read_bytes())
    return link


def keycloak_home():
    """The unpacked Keycloak."""
    return folder() / f"keycloak-{KEYCLOAK_VERSION}"


def prepare():
    """Fetches what is missing or no longer what the pinned lists say."""
    folder().mkdir(parents=True, exist_ok=True)
    _prepare_python()
    _prepare_node()
    _prepare_keycloak()


def _prepare_python():
    wanted = HERE / "requirements.txt"
    if not _stale(wanted, folder() / "venv"):
        return
    print("Fetching the Python client libraries", file=sys.stderr)
    system = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable
    _call([system, "-m", "venv", "--clear", folder() / "venv"])
    _call([python(), "-m", "pip", "install", "-q", "--disable-pip-version-check", "-r", wanted])
    _note(wanted, folder() / "venv")


def _prepare_node():
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    if int(version.lstrip("v").split(".")[0]) < NODE_MAJOR and not (folder() / "node/node_modules").exists():
        print("Fetching a newer Node.js", file=sys.stderr)
        (folder() / "node").mkdir(exist_ok=True)
        _npm(folder() / "node", NODE_PACKAGE)
    wanted = HERE / "package.json"
    if not _stale(wanted, folder() / "npm"):
        return
    print("Fetching the npm client libraries", file=sys.stderr)
    (folder() / "npm").mkdir(exist_ok=True)
    shutil.copy(wanted, folder() / "npm/package.json")
    _npm(folder() / "npm")
    _note(wanted, folder() / "npm")


def _prepare_keycloak():
    if (keycloak_home() / "bin/kc.sh").exists():
        return
    print(f"Fetching Keycloak {KEYCLOAK_VERSION}", file=sys.stderr)
    local = folder() / "maven"
    artifact = f"org.keycloak:keycloak-quarkus-dist:{KEYCLOAK_VERSION}:tar.gz"
    _call(["mvn", "-q", "-B", "-ntp", f"{DEPENDENCY_PLUGIN}:get", f"-Dmaven.repo.local={local}",
           "-Dtransitive=false", f"-Dartifact={artifact}"])
    archive = next(local.glob(f"org/keycloak/keycloak-quarkus-dist/{KEYCLOAK_VERSION}/*.tar.gz"))
    unpacking = folder() / "keycloak-unpacking"
    shutil.rmtree(unpacking, ignore_errors=True)
    unpacking.mkdir()
    _call(["tar", "-xzf", archive, "-C", unpacking, "--strip-components=1"])
    unpacking.rename(keycloak_home())
    shutil.rmtree(local)


def _npm(where, *packages):
    _call(["npm", "install", "--prefix", where, "--no-package-lock", "--no-progress", "--no-audit",
           "--no-fund", "--loglevel=error", *packages], cwd=where)


def _stale(wanted, installed):
    noted = installed / ".installed"
    return not noted.exists() or noted.read_text() != wanted.read_text()


def _note(wanted, installed):
    (installed / ".installed").write_text(wanted.read_text())


def _call(command, **options):
    subprocess.run([str(part) for part in command], check=True, stdin=subprocess.DEVNULL,
                   stdout=sys.stderr, timeout=900, **options)
