"""The graph of a network: its operations one by one, as `torch.fx` finds them.

In comes a `torch.nn.Module`. Out come its `Graph` (steps, which run the module's own operations in its order, from any
step to any other), or the reason why it has none; which elements of an input each element of an activation can see
(`supports`). Nothing here knows a network with layers and heads, a query, a registered input or a plan.
"""

from .form import Graph, GraphStep, Ref
from .tracing import traced

__all__ = ["Graph", "GraphStep", "Ref", "traced"]
