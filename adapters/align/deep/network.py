"""The network that deep alignment trains: a backbone, a bottleneck in which the domains meet, and a head."""

from torch import Tensor, nn


class AligningNetwork(nn.Module):
    """images [B, 3, H, W] (normalised) -> logits [B, C].

    The bottleneck is linear, batch normalisation, ReLU, as wide as `width`; 0 leaves it out. `aids` holds what only
    training needs: it is in the resume state, but in no checkpoint.
    """

    def __init__(self, backbone: nn.Module, classes: int, width: int = 256, dropout: float = 0.0) -> None:
        super().__init__()
        self.backbone = backbone
        self.bottleneck = bottleneck(backbone.dim, width, dropout) if width else nn.Dropout(dropout)
        self.dim = width or backbone.dim
        self.head = nn.Linear(self.dim, classes)
        self.aids = nn.ModuleDict()
        nn.init.trunc_normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)

    def embed(self, images: Tensor) -> Tensor:
        """Features [B, D], in which the domains are aligned."""
        return self.bottleneck(self.backbone(images))

    def classify(self, features: Tensor) -> Tensor:
        """Logits [B, C] of features [B, D]."""
        return self.head(features)

    def forward(self, images: Tensor) -> Tensor:
        return self.classify(self.embed(images))


def bottleneck(dim: int, width: int, dropout: float = 0.0) -> nn.Sequential:
    """From features [B, dim] to [B, width]."""
    return nn.Sequential(nn.Linear(dim, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(dropout))


def perceptron(dim: int, hidden: int, out: int) -> nn.Sequential:
    """A classifier [B, dim] -> [B, out] with one hidden layer."""
    return nn.Sequential(nn.Linear(dim, hidden), nn.ReLU(), nn.Linear(hidden, out))
