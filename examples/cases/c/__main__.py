from ..command import run
from . import __doc__ as about
from . import case

run(about or "", case)
