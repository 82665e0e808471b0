"""An interpreter with the newest shapiq, beside the environment and not in it.

    python -m benchmarks.newest        (`make newest`)

shapiq's releases since 1.5 need Python 3.12. In: nothing. Out: `bench-out/newest/python`, a command that runs the
newest shapiq: this interpreter where it is new enough, else one of the machine's, else Debian's, unpacked into
`bench-out/newest/debian` with its own C library and never installed. Where none is to be had, one line says so.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

HOME = Path("bench-out/newest").resolve()
PACKAGES = ("shapiq", "lightgbm", "xgboost-cpu")  # the last two are what its tree proxies run on
SUITE, MINOR = "trixie", "3.13"
DEBIAN = (
    *(f"python{MINOR}-minimal", f"libpython{MINOR}-minimal", f"libpython{MINOR}-stdlib"),
    *("libc6", "libgcc-s1", "libstdc++6", "libgomp1", "libexpat1", "zlib1g", "libssl3t64", "libffi8"),
    *("libbz2-1.0", "liblzma5", "libsqlite3-0"),
)


class Missing(Exception):
    """What could not be had, in a line."""


def run(command: Sequence[str | Path], cwd: Path | None = None) -> None:
    try:
        subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True, timeout=900)
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or ["it failed"])[-1]
        raise Missing(f"{Path(command[0]).name}: {last}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Missing(str(error)) from error


def runs(path: str) -> bool:
    return subprocess.run([path, "-c", "import ssl"], capture_output=True, check=False).returncode == 0


def interpreter() -> str:
    """A shell command that starts Python ≥ 3.12."""
    if sys.version_info >= (3, 12):
        return shlex.quote(sys.executable)
    on_path = [path for minor in (14, 13, 12) if (path := shutil.which(f"python3.{minor}"))]
    managed = sorted(map(str, Path.home().glob(".pyenv/versions/3.1[2-9]*/bin/python3")), reverse=True)
    for path in on_path + managed:
        if runs(path):  # a version manager's stand-ins need not
            return shlex.quote(path)
    root = HOME / "debian"
    if not (root / f"usr/bin/python{MINOR}").exists():
        unpack(root)
    libraries = root / "usr/lib/x86_64-linux-gnu"
    loader = libraries / "ld-linux-x86-64.so.2"
    words = [f"PYTHONHOME={root / 'usr'}", loader, "--library-path", libraries, root / f"usr/bin/python{MINOR}"]
    return "env " + shlex.join(map(str, words))


def unpack(root: Path) -> None:
    """Debian's packages of a later release, by an apt that keeps its lists and packages in our folder."""
    apt = HOME / "apt"
    for folder in ("lists/partial", "cache/archives/partial", "packages"):
        (apt / folder).mkdir(parents=True, exist_ok=True)
    keys = "/usr/share/keyrings/debian-archive-keyring.gpg"
    (apt / "sources.list").write_text(f"deb [signed-by={keys}] http://deb.debian.org/debian {SUITE} main\n")
    settings = {
        "Dir::Etc::sourcelist": apt / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State::lists": apt / "lists",
        "Dir::Cache": apt / "cache",
        "APT::Sandbox::User": "root",
    }
    options = [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]
    run(["apt-get", *options, "update"])
    run(["apt-get", *options, "download", *DEBIAN], cwd=apt / "packages")
    for package in (apt / "packages").glob("*.deb"):
        run(["dpkg", "-x", package, root])


def install() -> Path:
    """The command, written once all of it is there."""
    command, site = HOME / "python", HOME / "site"
    if command.exists():
        return command
    HOME.mkdir(parents=True, exist_ok=True)
    bare = HOME / "bare"
    bare.write_text(f'#!/bin/sh\nexec {interpreter()} "$@"\n')
    bare.chmod(0o755)
    shutil.rmtree(site, ignore_errors=True)
    pip: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        bare,
        "install",
        "--quiet",
        "--root-user-action",
        "ignore",
    ]
    run([*pip, "--target", site, *PACKAGES])
    whole = HOME / "whole"
    whole.write_text(f'#!/bin/sh\nPYTHONPATH={shlex.quote(str(site))} exec {shlex.quote(str(bare))} "$@"\n')
    whole.chmod(0o755)
    run([whole, "-W", "ignore", "-c", "import shapiq"])
    whole.rename(command)
    return command


def main() -> int:
    try:
        command = install()
    except Missing as error:
        print(f"the newest shapiq is left out, for want of a Python ≥ 3.12: {error}")
        return 0
    said = "import sys, shapiq; print('shapiq', shapiq.__version__, 'on Python', sys.version.split()[0])"
    return subprocess.run([command, "-W", "ignore", "-c", said], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
