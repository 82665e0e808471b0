"""Edits: what-if changes of an input, made before anything is explained.

    nullify  substitute  assign  scale  rotate  shift  clip  noise  brightness  contrast  blur
    reconstruct  latent  mix  counterfactual

What lives here: the nodes of edits and one `EditForm` value per edit (how a query writes it, what it reads, how it is
applied), and their registry. In: edits and tensors. Out: tensors of the same shape. Other inputs come from functions
that the caller passes in, and are computed only when an edit reads them. This room may not know the catalog,
the syntax of queries, models or plans.
"""

from .form import (
    AxisArgument,
    ClassArgument,
    EditArgument,
    EditForm,
    InputArgument,
    NumberArgument,
    NumbersArgument,
    OptionArgument,
    Surroundings,
    ValueArgument,
    WholeArgument,
    WindowArgument,
    WordArgument,
    edit_form,
)
from .latent import LATENT_EDITS, ONE_DRAWING, Counterfactual, Latent, LatentEdit, Mixed, Reconstructed, made_one
from .moves import Rotate, Scale, Shift
from .pictures import Blurred, Brightened, Contrasted, picture_scale
from .registry import EDITS, edited, form_of, meaningful, registered
from .replacements import Assign, Nullify, Substitute
from .values import Clip, Noise

__all__ = [
    "EDITS",
    "LATENT_EDITS",
    "ONE_DRAWING",
    "Assign",
    "AxisArgument",
    "Blurred",
    "Brightened",
    "ClassArgument",
    "Clip",
    "Contrasted",
    "Counterfactual",
    "EditArgument",
    "EditForm",
    "InputArgument",
    "Latent",
    "LatentEdit",
    "Mixed",
    "Noise",
    "Nullify",
    "NumberArgument",
    "NumbersArgument",
    "OptionArgument",
    "Reconstructed",
    "Rotate",
    "Scale",
    "Shift",
    "Substitute",
    "Surroundings",
    "ValueArgument",
    "WholeArgument",
    "WindowArgument",
    "WordArgument",
    "edit_form",
    "edited",
    "form_of",
    "made_one",
    "meaningful",
    "picture_scale",
    "registered",
]
