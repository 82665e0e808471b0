"""Files that are whole: a path and its content in; the file with that content, or what was there before, out.

Whatever happens on the way (a full disk, a kill, a power cut), a reader meets the old file or the new one. A kill
leaves a hidden file of no consequence beside it. Knows nothing of what is written.
"""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path


def write(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Put `content` into the file at `path`, whole or not at all; OSError or ValueError where that cannot be done.

    The bytes go to another file of the same folder first, which then takes the name. A link stays a link, and a file
    that was there keeps its permissions; what is no file (a device, a pipe) is left alone. What need not be `durable`
    does not wait for the disk, and may be lost in a power cut.
    """
    path = Path(os.path.realpath(path))
    mode = path.stat().st_mode if path.exists() else None
    if mode is not None and not stat.S_ISREG(mode):
        raise OSError(f"{path} is no regular file")
    unfinished = path.with_name(f".{secrets.token_hex(8)}.unfinished")  # threads and processes each have their own
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
