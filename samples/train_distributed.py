"""Data-parallel training with torchrun, held against one process; then rank 0 ships the model.

    python samples/train_distributed.py [--out FOLDER] [--processes N] [--epochs N] [--budget S]

Starts itself N times with torchrun, on this machine alone: gloo, or nccl where there is a GPU for
each. A global batch of 32 digits is split over the ranks and DistributedDataParallel averages their
gradients, so one process with whole batches does the same up to the rounding of sums. How far
rounding alone carries a training is measured, not guessed: one process trains again, 8 times, with
each starting weight 8 ulps up or down (8 as in onnxport's verdict on rounding). The largest
difference of their loss curves is the bound; past it, the exit code is 1. Writes into FOLDER:
losses.npz, both curves, and bundle/, by rank 0.
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

import toolkit
from digits import accuracy, digits
from toolkit.report.console import Live
from toolkit.zoo.cnn import CNN, build

BATCH, ULPS, DRAWS = 32, 8, 8


class Objective(nn.Module):
    """The loss as a module: DistributedDataParallel sees `forward` alone, which has no logits."""

    def __init__(self, model: CNN) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor, labels: Tensor) -> Tensor:
        return nn.functional.cross_entropy(self.model.logits(pixels), labels)


def train(
    epochs: int, *, rank: int = 0, world: int = 1, cuda: bool = False, draw: int = 0
) -> tuple[CNN, np.ndarray]:
    """The model, and the loss of each global batch [steps]. `draw` moves the starting weights."""
    torch.set_num_threads(1)
    torch.backends.cudnn.allow_tf32 = False
    torch.manual_seed(0)
    model, _ = build(size=8)
    signs = torch.Generator().manual_seed(draw)
    with torch.no_grad():
        for weight in model.parameters() if draw else ():
            up = torch.randint(0, 2, weight.shape, generator=signs)
            weight.mul_(1 + ULPS * torch.finfo(weight.dtype).eps * (2 * up - 1))
    device = torch.device("cuda", rank) if cuda else torch.device("cpu")
    objective: nn.Module = Objective(model.to(device))
    if world > 1:
        objective = DistributedDataParallel(objective)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    x, y = (torch.from_numpy(array).to(device) for array in digits()[0])
    order, losses = torch.Generator().manual_seed(0), []
    for _ in range(epochs):
        for batch in torch.randperm(len(x), generator=order).split(BATCH)[: len(x) // BATCH]:
            mine = batch[rank::world].to(device)
            loss = objective(x[mine], y[mine])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            mean = loss.detach() / world
            if world > 1:
                distributed.all_reduce(mean)
            losses.append(mean.item())
    return model.cpu().eval(), np.array(losses)


def work(options: argparse.Namespace) -> None:
    """One rank, started by torchrun."""
    rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    cuda = torch.cuda.device_count() >= world
    if cuda:
        torch.cuda.set_device(rank)
    # The strides of a weight with one input channel are ambiguous, and its gradient's are others.
    warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
    distributed.init_process_group("nccl" if cuda else "gloo")
    model, losses = train(options.epochs, rank=rank, world=world, cuda=cuda)
    distributed.barrier()
    distributed.destroy_process_group()
    if rank:
        sys.stdout.flush()
        os._exit(0)  # threads of gloo that outlive its group abort a process that ends by itself
    np.save(options.out / "distributed.npy", losses)
    with Live() as live:
        live.stage("ship")
        live.say(f"rank 0 of {world}, after {len(losses)} steps")
        bundle = toolkit.ship(
            (model, build(size=8)[1]),
            options.out / "bundle",
            data={"pixels": digits()[0][0]},
            metric=accuracy,
            budget=options.budget,
            listener=live,
        )
    print("\nheld-out accuracy")
    for name, value in bundle.metrics.items():
        print(f"  {name:10}{100 * value:6.2f} %")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("build/train_distributed"))
    parser.add_argument("--processes", type=int, default=2, choices=(1, 2, 4, 8, 16, 32))
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--budget", type=float, default=10.0, help="seconds for each check")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if "TORCHELASTIC_RUN_ID" in os.environ:
        return work(options)

    torchrun = (sys.executable, "-m", "torch.distributed.run", "--standalone")
    local = ("--local-addr", "127.0.0.1", "--nproc-per-node", str(options.processes))
    loopback = next(name for _, name in socket.if_nameindex() if name.startswith("lo"))
    variables = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": loopback}
    subprocess.run([*torchrun, *local, __file__, *sys.argv[1:]], env=variables, check=True)
    together = np.load(options.out / "distributed.npy")
    (options.out / "distributed.npy").unlink()

    cuda = torch.cuda.device_count() >= options.processes
    alone, *moved = (train(options.epochs, cuda=cuda, draw=n)[1] for n in range(DRAWS + 1))
    np.savez(options.out / "losses.npz", one=alone, distributed=together)
    bound = max(float(np.abs(other - alone).max()) for other in moved)
    difference = float(np.abs(together - alone).max())
    print("\nloss         first      middle        last   (of one batch)")
    for name, curve in (("1 process", alone), (f"{options.processes} processes", together)):
        print(f"{name:11}" + "".join(f"{curve[n]:9.6f}   " for n in (0, len(curve) // 2, -1)))
    print(f"largest difference of the curves  {difference:.1e}")
    print(f"bound: {DRAWS} trainings, {ULPS} ulps off    {bound:.1e}")
    raise SystemExit(difference > bound)


if __name__ == "__main__":
    main()
