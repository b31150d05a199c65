"""What every training shares: the optimiser, the learning rate, weight averaging, and a state that survives being stopped."""

from __future__ import annotations

import argparse
import copy
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

SAVE = 120  # seconds between checkpoints


def orthogonal(m: Tensor, steps: int = 5) -> Tensor:
    """The nearest (semi-)orthogonal matrix, about: Newton-Schulz iteration with the coefficients of Jordan 2024 (Muon)."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = m / (m.norm() + 1e-7)
    tall = x.size(0) > x.size(1)
    x = x.T if tall else x
    gram, product = x @ x.T, torch.eye(len(x), device=x.device)
    for _ in range(steps):  # all on the small Gram matrix, with which each step commutes
        factor = torch.addmm(gram, gram, gram, beta=b, alpha=c)
        factor.diagonal().add_(a)
        gram, product = factor @ gram @ factor, factor @ product
    x = product @ x
    return x.T if tall else x


class Muon(torch.optim.Optimizer):
    """Momentum whose step is made orthogonal (Jordan 2024), for convolution kernels as (out, in*k*k) matrices.

    Steps are scaled to the RMS of AdamW's (Liu et al. 2025), so both take one learning rate."""

    def __init__(self, params: Iterator[Tensor] | list[Tensor], lr: float, momentum: float = 0.95, weight_decay: float = 0.0):
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                buffer = self.state[p].setdefault("momentum", torch.zeros_like(p))
                buffer.lerp_(p.grad, 1 - group["momentum"])
                ahead = p.grad.lerp(buffer, group["momentum"])
                update = orthogonal(ahead.reshape(len(p), -1)).reshape(p.shape)
                rms = 0.2 * max(len(p), p[0].numel()) ** 0.5
                p.mul_(1 - group["lr"] * group["weight_decay"]).sub_(update, alpha=group["lr"] * rms)


def optimisers(net: nn.Module, name: str, lr: float, weight_decay: float) -> list[torch.optim.Optimizer]:
    """AdamW for everything, or Muon for the convolution kernels inside the network; no decay on norms and biases."""
    kernels = [p for p in net.parameters() if p.ndim == 4 and p.shape[1] > 3 and p.shape[0] > 20]
    known = {id(p) for p in kernels}
    others = [p for p in net.parameters() if id(p) not in known]
    if name == "adamw":
        groups = [{"params": kernels, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
        return [torch.optim.AdamW(groups, lr)]
    return [Muon(kernels, lr, weight_decay=weight_decay), torch.optim.AdamW(others, lr, weight_decay=0.0)]


def learning_rate(done: int, total: int, warmup: int, decay: float) -> float:
    """Factor after `done` samples: a linear warm-up, a plateau, and a linear way down over the last `decay` of them.

    The plateau lets a training be prolonged: raise the total before the way down starts, or go on from the plateau's checkpoint."""
    down = max(total * decay, 1)
    return min(1.0, (done + 1) / warmup, max(0.0, (total - done) / down))


def existing(text: str) -> Path:
    """Flag value: a file that is there, said before anything is read or written."""
    if not Path(text).is_file():
        raise argparse.ArgumentTypeError(f"no such file: {text}")
    return Path(text)


def share(text: str) -> tuple[str, float]:
    """Flag value: NAME=NUMBER."""
    name, _, number = text.rpartition("=")
    try:
        return name, float(number)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected LABELS=SHARE, got {text}") from None


def network(text: str) -> Path:
    """Flag value: an ONNX network with its card beside it."""
    path = existing(text)
    existing(str(path.with_suffix(".json")))
    return path


def arguments(description: str, sample: str, amount: int, batch: int, lr: float) -> argparse.ArgumentParser:
    """The flags of every training; `sample` is what it counts, "crops" or "images"."""
    p = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", type=existing, nargs="+", required=True, help="zips of photographs with COCO person annotations")
    p.add_argument("--without", nargs="+", default=[], metavar="SET", help="ARCHIVE or ARCHIVE/SET to leave out; * stands for anything")
    p.add_argument("--share", type=share, nargs="+", default=[], metavar="LABELS=SHARE", help="how much is drawn from photographs of such labels")
    p.add_argument("--start", type=existing, help="checkpoint whose weights a new training begins from")
    p.add_argument("--run", type=Path, required=True, help="folder for checkpoints and the log; the decoded photographs lie beside it")
    p.add_argument(f"--{sample}", type=int, default=amount, help=f"how many {sample} the training sees (default {amount})")
    p.add_argument("--batch", type=int, default=batch)
    p.add_argument("--lr", type=float, default=lr)
    p.add_argument("--decay", type=float, default=0.3, help="last share of the training over which the learning rate falls to nothing")
    p.add_argument("--weight-decay", type=float, default=0.02)
    p.add_argument("--optimiser", choices=("muon", "adamw"), default="muon")
    p.add_argument("--threads", type=int, help="threads of the training itself")
    p.add_argument("--workers", type=int, default=1, help=f"processes that prepare {sample}")
    p.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    p.add_argument("--every", type=int, default=250, help="steps between looks at held-out people; a checkpoint is due every two minutes besides")
    p.add_argument("--minutes", type=float, default=1e9, help="stop after so many minutes")
    return p


def step(loss: Tensor, opts: list[torch.optim.Optimizer], lr: float) -> None:
    """One step of every optimiser down the gradient of `loss`, all at one learning rate."""
    for opt in opts:
        opt.zero_grad(set_to_none=True)
        for group in opt.param_groups:
            group["lr"] = lr
    loss.backward()
    for opt in opts:
        opt.step()


class Average:
    """Exponential moving average of weights and statistics."""

    def __init__(self, net: nn.Module, decay: float = 0.999) -> None:
        self.net, self.decay, self.steps = copy.deepcopy(net).eval().requires_grad_(False), decay, 0

    @torch.no_grad()
    def update(self, net: nn.Module) -> None:
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        for mine, its in zip(self.net.state_dict().values(), net.state_dict().values(), strict=True):
            if mine.dtype.is_floating_point:
                mine.lerp_(its, 1 - decay)
            else:
                mine.copy_(its)


def restore(net: nn.Module, weights: dict[str, Tensor], path: Path) -> None:
    """Loads weights; ValueError where the checkpoint `path` is of another network."""
    try:
        net.load_state_dict(weights)
    except RuntimeError as e:
        raise ValueError(f"{path}: a checkpoint of another network than {type(net).__name__} is now") from e


class Run:
    """A folder with a checkpoint that is replaced whole or not at all, and a log of one JSON object a line."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.started, self.saved = folder, time.time(), time.time()

    def checkpoint(self, net: nn.Module, average: Average, opts: list[torch.optim.Optimizer], done: int, plateau: bool) -> None:
        """Replaces last.pt, and plateau.pt (from where a training can be prolonged) while the learning rate has not begun to fall."""
        state = {"net": net.state_dict(), "average": average.net.state_dict(), "steps": average.steps, "done": done}
        state["optimisers"] = [opt.state_dict() for opt in opts]
        for name in ("last.pt", "plateau.pt") if plateau else ("last.pt",):
            part = self.folder / f"{name}.part"
            torch.save(state, part)
            os.replace(part, self.folder / name)
        self.saved = time.time()

    def due(self) -> bool:
        """Whether the last checkpoint, or the start, is two minutes ago."""
        return time.time() - self.saved > SAVE

    def resume(self, net: nn.Module, average: Average, opts: list[torch.optim.Optimizer], start: Path | None = None) -> int:
        """Loads last.pt where there is one, else the weights of `start`; returns how many samples are done."""
        path = self.folder / "last.pt"
        if not path.exists():
            if start:
                weights = torch.load(start, map_location="cpu", weights_only=True)["average"]
                restore(net, weights, start)
                restore(average.net, weights, start)
            return 0
        state = torch.load(path, map_location="cpu", weights_only=True)
        restore(net, state["net"], path)
        restore(average.net, state["average"], path)
        average.steps = state["steps"]
        if len(opts) != len(state["optimisers"]):
            raise ValueError(f"{path}: begun with another --optimiser")
        for opt, saved in zip(opts, state["optimisers"], strict=True):
            decays = [group["weight_decay"] for group in opt.param_groups]  # the flag's, not the checkpoint's
            opt.load_state_dict(saved)
            for group, decay in zip(opt.param_groups, decays, strict=True):
                group["weight_decay"] = decay
        return int(state["done"])

    def left(self, done: int, total: int, batch: int) -> int:
        """How many samples are still to be seen; says so where that is not even a batch."""
        if total - done < batch:
            print(f"{self.folder}: nothing left to do, {done} of {total} are done in batches of {batch}")
        return max(total - done, 0)

    def elapsed(self) -> float:
        return time.time() - self.started

    def log(self, **entry: Any) -> None:
        entry["seconds"] = round(self.elapsed(), 1)
        with (self.folder / "log.jsonl").open("a") as out:
            out.write(json.dumps(entry) + "\n")
        print(*(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in entry.items()), flush=True)
