"""torch's Adam, without the compiler that its wrappers load and that nothing here uses: 2 s of every process."""

import inspect

import torch


class Adam(torch.optim.Adam):
    """The methods of torch.optim.Adam as they are below their wrappers, which import torch._dynamo when called."""

    step = torch.no_grad()(inspect.unwrap(torch.optim.Adam.step))
    add_param_group = inspect.unwrap(torch.optim.Adam.add_param_group)
