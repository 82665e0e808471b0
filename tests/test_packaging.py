"""The package as users get it: an sdist, the wheel made from it, and that wheel alone in an empty environment.

In: the tree. Nothing is downloaded, and nothing is written outside the tests' folders; the dependencies are those of
the environment that runs the tests.
"""

import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

import ialgebra

ROOT = Path(__file__).parent.parent
DATA = {".py", ".css", ".html", ".js", ".json", ".typed"}
BUILD = "import sys; from setuptools import build_meta as backend; getattr(backend, sys.argv[1])(sys.argv[2])"
QUERY = """
import ialgebra, torch
from ialgebra.models import origins
assert origins.installed(torch.__file__), "or its code would be read as the user's"
con = ialgebra.connect(progress=False)
con.register_model("f", torch.nn.Linear(4, 2), classes=["no", "yes"])
con.register_input("x", torch.ones(4))
(a,) = con.sql("select * from f(x, target => 'yes')")
assert abs(a.values.sum() - (a.full_value - a.base_value)) < 1e-6
print(ialgebra.__file__, a.target_name, a.map.shape)
"""


def ran(*command: str | Path, cwd: Path) -> str:
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(cwd), "OMP_NUM_THREADS": "1", "IALGEBRA_CACHE": "/dev/null"}
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sdist of a copy of the tree, and the wheel that is built from what the sdist holds."""
    folder = tmp_path_factory.mktemp("built")
    tree = folder / "tree"
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("the tree is no git checkout")
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            (tree / name).write_bytes((ROOT / name).read_bytes())
    ran(sys.executable, "-c", BUILD, "build_sdist", folder, cwd=tree)
    (sdist,) = folder.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # since Python 3.11.4
        archive.extractall(folder / "unpacked", **safely)
    (source,) = (folder / "unpacked").iterdir()
    ran(sys.executable, "-c", BUILD, "build_wheel", folder, cwd=source)
    (wheel,) = folder.glob("*.whl")
    return sdist, wheel


def test_the_wheel_holds_every_module_and_data_file_and_nothing_else(built: tuple[Path, Path]) -> None:
    _, wheel = built
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    package = ROOT / "ialgebra"
    here = {str(path.relative_to(ROOT)) for path in package.rglob("*") if path.suffix in DATA}
    assert inside == here
    assert "ialgebra/py.typed" in inside
    assert any(name.startswith("ialgebra/apps/demo/") and name.endswith(".css") for name in inside)


def test_the_sdist_holds_what_a_packager_needs(built: tuple[Path, Path]) -> None:
    sdist, _ = built
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "ialgebra/__init__.py", "ialgebra/py.typed"} <= names


def test_the_wheel_alone_in_an_empty_environment_answers_a_query(built: tuple[Path, Path], tmp_path: Path) -> None:
    _, wheel = built
    room = tmp_path / "environment"
    ran(sys.executable, "-m", "venv", "--without-pip", room, cwd=tmp_path)
    python = room / "bin" / "python"
    ran(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel, cwd=tmp_path)
    home = Path(ran(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=tmp_path))
    missing = subprocess.run([python, "-c", "import torch"], cwd=tmp_path, capture_output=True)
    assert missing.returncode, "the environment is empty but for the wheel"
    (home / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")  # whose own .pth files are not read
    assert ran(room / "bin" / "ialgebra", "--version", cwd=tmp_path).split()[-1] == ialgebra.__version__
    place, target, *shape = ran(python, "-c", QUERY, cwd=tmp_path).split(maxsplit=2)
    assert Path(place).is_relative_to(home)
    assert (target, shape) == ("yes", ["(4,)"])


def test_the_metadata_says_what_the_package_needs(built: tuple[Path, Path]) -> None:
    _, wheel = built
    archive = zipfile.ZipFile(wheel)
    (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    metadata = archive.read(name).decode()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for dependency in project["dependencies"]:
        assert dependency.partition(">")[0] in metadata
    assert f"Version: {ialgebra.__version__}\n" in metadata
    assert "License-Expression: Apache-2.0\n" in metadata
