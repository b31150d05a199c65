"""The networks that the recipes train: one residual backbone, a heatmap head, a coordinate head and a detection head.

Plain 3x3 convolutions with ReLU: per multiply-add they are the fastest thing both to train and to run on a CPU.
Shapes are (B, C, H, W); strides are relative to the input image.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTHS = (32, 64, 128, 192)  # channels at stride 4, 8, 16, 32
DEPTHS = (1, 2, 3, 1)


class ConvNorm(nn.Sequential):
    """Convolution, batch norm and, unless `act=False`, ReLU."""

    def __init__(self, cin: int, cout: int, kernel: int = 3, stride: int = 1, act: bool = True) -> None:
        layers: list[nn.Module] = [
            nn.Conv2d(cin, cout, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(cout),
        ]
        if act:
            layers.append(nn.ReLU(inplace=True))
        super().__init__(*layers)


class Block(nn.Module):
    """The basic residual block of He et al. 2015; its last norm starts at zero, so that it begins as the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = ConvNorm(channels, channels)
        self.second = ConvNorm(channels, channels, act=False)
        nn.init.zeros_(self.second[1].weight)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.second(self.first(x)))


class Backbone(nn.Module):
    """Image (B,3,H,W) -> features at stride 4, 8, 16 and 32."""

    def __init__(self, widths: tuple[int, ...] = WIDTHS, depths: tuple[int, ...] = DEPTHS) -> None:
        super().__init__()
        self.widths = widths
        self.stem = ConvNorm(3, widths[0] // 2, stride=2)
        channels = (widths[0] // 2, *widths)
        self.stages = nn.ModuleList(
            nn.Sequential(
                ConvNorm(channels[i], channels[i + 1], stride=2),
                *(Block(channels[i + 1]) for _ in range(depths[i])),
            )
            for i in range(len(widths))
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.stem(x)
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features


class Context(nn.Module):
    """What the whole crop says: pooled features gate the channels (squeeze and excitation, Hu et al. 2018)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, channels // 4, 1)
        self.excite = nn.Conv2d(channels // 4, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        gate = F.adaptive_avg_pool2d(x, 1)
        return x * torch.sigmoid(self.excite(F.relu(self.squeeze(gate))))


class Pyramid(nn.Module):
    """Top-down path (FPN, Lin et al. 2017) from stride 32 to the finest level asked for; each level is refined by a block."""

    def __init__(self, widths: tuple[int, ...], outs: tuple[int, ...]) -> None:
        super().__init__()
        self.context = Context(widths[-1])
        self.lateral = nn.ModuleList(ConvNorm(w, o, 1, act=False) for w, o in zip(widths, outs, strict=True))
        self.reduce = nn.ModuleList(nn.Conv2d(outs[i + 1], outs[i], 1) if outs[i + 1] != outs[i] else nn.Identity() for i in range(len(outs) - 1))
        self.refine = nn.ModuleList(Block(o) for o in outs)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        x = self.refine[-1](F.relu(self.lateral[-1](self.context(features[-1]))))
        levels = [x]
        for i in range(len(features) - 2, -1, -1):
            up = F.interpolate(self.reduce[i](x), scale_factor=2.0, mode="nearest")
            x = self.refine[i](F.relu(self.lateral[i](features[i]) + up))
            levels.insert(0, x)
        return levels


class BottomUp(nn.Module):
    """The way back from fine levels to coarse (PAN, Liu et al. 2018), which begins as nothing: where a large thing ends is seen finely."""

    def __init__(self, channels: int, levels: int) -> None:
        super().__init__()
        self.down = nn.ModuleList(ConvNorm(channels, channels, stride=2, act=False) for _ in range(levels - 1))
        for conv in self.down:
            nn.init.zeros_(conv[1].weight)

    def forward(self, levels: list[Tensor]) -> list[Tensor]:
        out = levels[:1]
        for down, level in zip(self.down, levels[1:], strict=True):
            out.append(F.relu(level + down(out[-1])))
        return out


class Mixer(nn.Module):
    """What lies far apart, together: a 7x7 depthwise convolution and two 1x1 (Liu et al. 2022), which begin as the identity.

    On the coarsest features, 8x6 cells of a crop, it joins every part of a body for next to nothing."""

    def __init__(self, channels: int, expansion: int = 2) -> None:
        super().__init__()
        self.spread = nn.Sequential(nn.Conv2d(channels, channels, 7, padding=3, groups=channels, bias=False), nn.BatchNorm2d(channels))
        self.widen = nn.Conv2d(channels, channels * expansion, 1)
        self.narrow = ConvNorm(channels * expansion, channels, 1, act=False)
        nn.init.zeros_(self.narrow[1].weight)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.narrow(F.relu(self.widen(self.spread(x))))


class HeatmapNet(nn.Module):
    """Crop (B,3,h,w) -> heatmaps (B,J,h/4,w/4)."""

    def __init__(self, joints: int = 17, outs: tuple[int, ...] = (32, 48, 96, 128)) -> None:
        super().__init__()
        self.backbone = Backbone()
        self.mixers = nn.Sequential(*(Mixer(self.backbone.widths[-1]) for _ in range(2)))
        self.pyramid = Pyramid(self.backbone.widths, outs)
        self.head = nn.Conv2d(outs[0], joints, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor) -> Tensor:
        *fine, coarse = self.backbone(x)
        return self.head(self.pyramid([*fine, self.mixers(coarse)])[0])


class CoordinateNet(nn.Module):
    """The same backbone with flattened stride-32 features -> 2J numbers: crop (B,3,h,w) -> (B,J,2), 0...1 across the crop."""

    def __init__(self, joints: int = 17, size: tuple[int, int] = (192, 256)) -> None:
        super().__init__()
        self.backbone = Backbone()
        channels = 32
        self.reduce = ConvNorm(self.backbone.widths[-1], channels, 1)
        self.head = nn.Linear(channels * (size[0] // 32) * (size[1] // 32), 2 * joints)
        nn.init.zeros_(self.head.weight)
        nn.init.constant_(self.head.bias, 0.5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.reduce(self.backbone(x)[-1]).flatten(1)
        return self.head(x).unflatten(1, (-1, 2))


class DetectNet(nn.Module):
    """Image (B,3,S,S) -> raw predictions, one tensor (B,5,H,W) a stride: distances left, top, right, bottom in strides
    (before softplus) and the person logit."""

    strides = (8, 16, 32)

    def __init__(self, channels: int = 64) -> None:
        super().__init__()
        self.backbone = Backbone()
        self.mixers = nn.Sequential(*(Mixer(self.backbone.widths[-1]) for _ in range(2)))
        self.pyramid = Pyramid(self.backbone.widths[1:], (channels,) * 3)
        self.bottom_up = BottomUp(channels, len(self.strides))
        self.boxes = nn.ModuleList(nn.Sequential(ConvNorm(channels, channels // 2), nn.Conv2d(channels // 2, 4, 1)) for _ in self.strides)
        self.persons = nn.ModuleList(nn.Sequential(ConvNorm(channels, channels // 2), nn.Conv2d(channels // 2, 1, 1)) for _ in self.strides)
        for box, person in zip(self.boxes, self.persons, strict=True):
            nn.init.zeros_(box[-1].weight)
            nn.init.constant_(box[-1].bias, 2.0)
            nn.init.zeros_(person[-1].weight)
            nn.init.constant_(person[-1].bias, -4.6)  # prior 0.01 (focal loss paper, section 4.1)

    def forward(self, x: Tensor) -> list[Tensor]:
        _, *fine, coarse = self.backbone(x)
        levels = self.bottom_up(self.pyramid([*fine, self.mixers(coarse)]))
        return [torch.cat([box(f), person(f)], 1) for f, box, person in zip(levels, self.boxes, self.persons, strict=True)]
