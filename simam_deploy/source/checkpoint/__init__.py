"""What is in a checkpoint file, safely: clean weights, and what the file says beside them.

A file passes these modules, in this order:

    content     what kind of file is this, by its bytes
    archive     the zip container of torch.save: plain, complete, unambiguous
    screen      the pickle's opcodes walked without running them
    calls       what they ask for by name: no code
    claims      what that may cost: no size beyond the file's
    stack       what stands for their values meanwhile
    inert       objects of classes that are not imported, a network saved whole among them
    reading     torch.load or safetensors, behind one error boundary
    wrappers    where in the loaded tree the weights are
    keys        what keys mean: as stored, or without what wrappers put into them
    cleaning    counters, dtypes, NaN

What it says of its network is read from the loaded tree by `source.stated`.
"""

from simam_deploy.source.checkpoint.loading import Checkpoint, load_checkpoint

__all__ = ["Checkpoint", "load_checkpoint"]
