"""Atomic writes, and the folder of what is kept. In: a path and its content. Out: the file has the new content or, if
writing fails, the old one.

Also after a full disk, a killed process or a power cut, a reader sees either the complete old file or the complete new
one. A killed process may leave a hidden temporary file beside it, which may be deleted. It does not look at the
content.
"""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path


def cache_folder() -> Path:
    """Where what can be made again is kept between processes: $IALGEBRA_CACHE, or else `ialgebra` in the user's cache.

    It may not exist yet. RuntimeError where there is no home directory.
    """
    own, shared = os.environ.get("IALGEBRA_CACHE"), os.environ.get("XDG_CACHE_HOME")
    return Path(own) if own else (Path(shared) if shared else Path.home() / ".cache") / "ialgebra"


def write(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Write `content` to the file at `path`, completely or not at all; OSError or ValueError if that is impossible.

    The bytes are written to a temporary file in the same folder, which is then renamed. A symbolic link stays a link,
    and an existing file keeps its permissions. Devices and pipes are refused. With `durable=False` the call does not
    wait for the disk, and the new content may be lost in a power cut.
    """
    path = Path(os.path.realpath(path))
    mode = path.stat().st_mode if path.exists() else None
    if mode is not None and not stat.S_ISREG(mode):
        raise OSError(f"{path} is not a regular file")
    unfinished = path.with_name(f".{secrets.token_hex(8)}.unfinished")  # unique among threads and processes
    try:
        with unfinished.open("xb") as file:
            if mode is not None:
                unfinished.chmod(stat.S_IMODE(mode))
            file.write(content)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
