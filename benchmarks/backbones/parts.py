"""The head of part segmentation: from the tokens of patches back to points (Point-MAE, arXiv:2203.06604).

Shapes: B clouds, P points, G patches, T numbers per patch, C parts.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from methods.parts.geometry import interpolated

NEAREST, EPSILON = 3, 1e-8  # of the patches whose tokens a point gets, and of their weights
CODE = 64  # numbers that stand for the category


class PartHead(nn.Module):
    """Points (B, P, 3), categories (B,), tokens (B, G, T) and their centres (B, G, 3) to logits (B, C, P).

    As in segmentation/models/pt.py at 336d42f of Point-MAE. A point gets the tokens of its three nearest patches,
    weighted by the inverse squared distance, the maximum and the mean over patches, and a code of its category. With
    T = 1,152 of Point-MAE, 16 categories and 50 parts there are 5,238,706 parameters.
    """

    def __init__(self, tokens: int, hidden: int, categories: int, parts: int) -> None:
        super().__init__()
        self.categories = categories
        self.code = nn.Sequential(nn.Linear(categories, CODE, bias=False), nn.BatchNorm1d(CODE), nn.LeakyReLU(0.2))
        self.propagation = _layers(3 + tokens, hidden, 1024)
        self.classifier = _layers(1024 + 2 * tokens + CODE, 512, 256)
        self.classifier.insert(3, nn.Dropout(0.5))
        self.classifier.append(nn.Conv1d(256, parts, 1))

    def forward(self, points: Tensor, categories: Tensor, tokens: Tensor, centers: Tensor) -> Tensor:
        code = self.code(F.one_hot(categories, self.categories).to(tokens.dtype))
        near = torch.cat(
            [points.to(tokens.dtype), interpolated(points, centers, tokens, NEAREST, EPSILON)], dim=-1
        )  # (B, P, 3 + T)
        own = self.propagation(near.transpose(1, 2))  # (B, 1024, P)
        whole = torch.cat([tokens.amax(1), tokens.mean(1), code], dim=-1)  # (B, 2 T + 64)
        out: Tensor = self.classifier(torch.cat([own, whole[..., None].expand(-1, -1, own.shape[-1])], dim=1))
        return out


def _layers(*widths: int) -> nn.Sequential:
    """Convolutions over points of one point each, with BatchNorm and ReLU."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.Conv1d(inputs, outputs, 1), nn.BatchNorm1d(outputs), nn.ReLU()]
    return nn.Sequential(*layers)
