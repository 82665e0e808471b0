"""Where code and values come from: a function, class or module in; whether a library brought it, and whether it reads
from outside of the process, out.

Libraries are Python itself, installed packages and this one. Outside are files, the clock, the environment and the
network. Knows names and folders: it reads no content.
"""

from __future__ import annotations

import builtins
import io
import site
import sys
import sysconfig
from collections.abc import Mapping
from functools import lru_cache
from importlib.util import resolve_name
from inspect import getattr_static
from pathlib import Path
from types import FunctionType, ModuleType

_OUTSIDE = {
    "os": "environ environb getenv urandom getpid listdir scandir stat walk getcwd getcwdb",
    "posix": "urandom getpid listdir scandir stat getcwd getcwdb",
    "posixpath": "expandvars expanduser abspath realpath",
    "platform": "node",
    "builtins": "open input eval exec globals __import__ compile",
    "io": "open",
    "_io": "open",
    "time": "time time_ns monotonic monotonic_ns perf_counter perf_counter_ns localtime gmtime ctime strftime",
    "datetime": "datetime.now datetime.today datetime.utcnow date.today",
    "sys": "argv stdin modules _getframe getrecursionlimit",
    "gc": "get_objects isenabled",
    "inspect": "stack currentframe",
    "importlib": "import_module reload",
    "torch": "load from_file get_num_threads get_num_interop_threads initial_seed get_rng_state "
    "are_deterministic_algorithms_enabled is_deterministic_algorithms_warn_only_enabled",
    "torch.random": "initial_seed get_rng_state",
    "torch.serialization": "load",
    "numpy": "load loadtxt genfromtxt fromfile memmap geterr get_printoptions",
    "pickle": "load Unpickler",
    "_pickle": "load Unpickler",
    "json": "load",
    "mmap": "mmap",
    "socket": "socket create_connection",
    "subprocess": "run Popen check_output",
    "urllib.request": "urlopen",
    "requests": "get post request",
    "requests.api": "get post request",
    "threading": "get_ident current_thread active_count enumerate",
    "decimal": "getcontext localcontext",
    "locale": "getlocale localeconv",
    "genericpath": "exists isfile isdir getmtime getsize",
    "glob": "glob iglob",
    "safetensors": "safe_open",
    "safetensors.torch": "load_file",
    "joblib.numpy_pickle": "load",
    "PIL.Image": "open",
    "pandas": "read_csv read_parquet read_pickle",
    "pandas.io.parsers.readers": "read_csv",
    "_thread": "get_ident",
}
_OUTSIDE_NAMES = {f"{module}.{name}" for module, names in _OUTSIDE.items() for name in names.split()}
_READERS = frozenset(
    {"read_text", "read_bytes", "recv", "readline", "readlines", "readinto", "is_file", "iterdir"}
    | {"is_set", "is_alive", "locked", "qsize", "isEnabledFor", "getEffectiveLevel", "get_last_lr"}  # of what is apart
)
_REMOTE = frozenset(
    {"requests", "httpx", "aiohttp", "urllib3", "http", "socket", "subprocess", "multiprocessing", "grpc", "sqlite3"}
    | {"boto3", "botocore", "openai", "redis", "psycopg2", "pymongo", "sqlalchemy", "onnxruntime", "mmap"}
)
"""Packages and modules whose objects stand for something outside: a connection, a process, a file."""


def from_outside(value: object, name: str) -> bool:
    """Whether code that calls or reads this value, which it finds under a dotted name, reads from outside."""
    if name in _OUTSIDE_NAMES:
        return True
    home = getattr(value, "__module__", None) or type(value).__module__
    called = getattr(value, "__qualname__", None) or type(value).__qualname__
    return f"{home}.{called}" in _OUTSIDE_NAMES or type(value).__qualname__ == "_Environ"


def switch(module: ModuleType, name: str) -> bool:
    """Whether an attribute of a library's module is a switch of the library, as in `torch.backends.cudnn.benchmark`."""
    return hasattr(getattr_static(type(module), name, None), "__set__")


def remote(kind: type) -> bool:
    """Whether objects of a class stand for something outside of the process."""
    name = vars(kind).get("__module__")
    return isinstance(name, str) and name.partition(".")[0] in _REMOTE


def reading_attributes(names: frozenset[str]) -> list[str]:
    """Those names of attributes that only things have which are read from outside."""
    return sorted(_READERS & names)


def only_written(value: object) -> bool:
    """Whether a value is an open stream that gives nothing back."""
    if not isinstance(value, io.IOBase) or isinstance(value, io.BytesIO | io.StringIO):
        return False
    try:
        return value.writable() and not value.readable()
    except ValueError:  # closed
        return True


def _folders() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    found = {paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    found |= {*site.getsitepackages(), site.getusersitepackages()}
    found |= {each for each in sys.path if any(Path(each).glob("*.dist-info"))}  # also of other environments
    found |= {str(Path(each).resolve()) for each in list(found)}
    return tuple(sorted(each.rstrip("/\\") + ("\\" if "\\" in each else "/") for each in found))


_INSTALLED = _folders()
_OWN = str(Path(__file__).resolve().parent.parent / "_")[:-1]
_PACKAGE = __name__.partition(".")[0]


@lru_cache(maxsize=1 << 12)
def installed(file: str) -> bool:
    """Whether a file of code belongs to Python, to an installed package or to this one."""
    return file.startswith((*_INSTALLED, _OWN, "<frozen"))


def library_function(function: FunctionType) -> bool:
    """Whether a function was written in a library, and not put there by a user."""
    name = function.__globals__.get("__name__")
    if not isinstance(name, str) or not installed(function.__code__.co_filename):
        return False
    return _of_library(sys.modules.get(name), name)


def core_function(function: FunctionType) -> bool:
    """Whether a function of a library is one of Python, torch or NumPy, whose code is not a user's to change."""
    name = str(function.__globals__.get("__name__"))
    return name.partition(".")[0] in ("torch", "numpy", __name__.partition(".")[0]) or not (
        "site-packages" in function.__code__.co_filename or "dist-packages" in function.__code__.co_filename
    )


def library_module(module: ModuleType) -> bool:
    """Whether a module belongs to a library."""
    return _of_library(module, module.__name__)


def library_class(kind: type) -> bool:
    """Whether a class was defined in a library. One that `exec` makes may name `builtins` as its module."""
    name = vars(kind).get("__module__")
    if name == "builtins" and vars(builtins).get(kind.__name__) is not kind:
        return False
    return isinstance(name, str) and _of_library(sys.modules.get(name), name)


def module_named(name: str, level: int, shared: Mapping[str, object]) -> str:
    """The whole name of a module that a function with the globals `shared` imports."""
    package = shared.get("__package__")
    if not level or not isinstance(package, str):
        return name
    try:
        return resolve_name("." * level + name, package)
    except ImportError:
        return name


def _of_library(module: ModuleType | None, name: str) -> bool:
    """Whether a module, loaded under this name, belongs to Python, to an installed package or to this one."""
    if name.partition(".")[0] in ("builtins", _PACKAGE):
        return True
    if module is None:
        return False
    file = getattr(module, "__file__", None)
    if isinstance(file, str):
        return installed(file)
    # Modules without a file: built into Python, parts of compiled packages, namespaces; and those that a user made.
    if getattr(module, "__spec__", None) is None:
        parent = name.rpartition(".")[0]
        return bool(parent) and parent.partition(".")[0] in _compiled_packages()
    return True


@lru_cache(maxsize=1)
def _compiled_packages() -> frozenset[str]:
    return frozenset({"torch", "numpy", "scipy", "pandas", "sklearn"})
