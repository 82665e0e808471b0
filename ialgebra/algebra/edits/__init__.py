"""Edits: what-if changes of an input, made before anything is explained.

    nullify  substitute  assign  scale  rotate  shift  clip  noise  brightness  contrast  blur

What lives here: the nodes of edits and one `EditForm` value per edit (how a query writes it, what it reads, how it is
applied), and their registry. In: edits and tensors. Out: tensors of the same shape. Other inputs come from functions
that the caller passes in, and are computed only when an edit reads them. This room may not know the catalog,
the syntax of queries, models or plans.
"""

from .form import (
    EditArgument,
    EditForm,
    InputArgument,
    NumberArgument,
    Surroundings,
    ValueArgument,
    WholeArgument,
    WindowArgument,
    edit_form,
)
from .moves import Rotate, Scale, Shift
from .pictures import Blurred, Brightened, Contrasted, picture_scale
from .registry import EDITS, edited, form_of, meaningful, registered
from .replacements import Assign, Nullify, Substitute
from .values import Clip, Noise

__all__ = [
    "EDITS",
    "Assign",
    "Blurred",
    "Brightened",
    "Clip",
    "Contrasted",
    "EditArgument",
    "EditForm",
    "InputArgument",
    "Noise",
    "Nullify",
    "NumberArgument",
    "Rotate",
    "Scale",
    "Shift",
    "Substitute",
    "Surroundings",
    "ValueArgument",
    "WholeArgument",
    "WindowArgument",
    "edit_form",
    "edited",
    "form_of",
    "meaningful",
    "picture_scale",
    "registered",
]
