"""Small networks shaped like the ones people have, with random weights and no trained meaning."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def seeded(build: Callable[[], nn.Module]) -> nn.Module:
    """The same weights every time, and batch statistics that are not the identity."""
    with torch.random.fork_rng():
        torch.manual_seed(7)
        model = build()
        for module in model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.running_mean.normal_(0, 0.3)
                module.running_var.uniform_(0.5, 1.5)
    return model.eval()


def images(rows: int, size: int = 16, seed: int = 0) -> Tensor:
    return torch.rand(rows, 3, size, size, generator=torch.Generator().manual_seed(seed))


def tokens(rows: int, length: int = 9, seed: int = 0) -> Tensor:
    return torch.randint(0, 20, (rows, length), generator=torch.Generator().manual_seed(seed))


def plain(classes: int = 4) -> nn.Sequential:
    """Convolution, in-place ReLU, convolution, pooling, linear: a root Sequential of seven layers."""
    return nn.Sequential(
        nn.Conv2d(3, 5, 3),
        nn.ReLU(inplace=True),
        nn.Conv2d(5, 6, 3),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, classes),
    )


class BasicBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(out + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    """torchvision's ResNet in small: registered in its order, one ReLU for the stem, flatten as a function."""

    def __init__(self, classes: int = 5) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(2)
        self.layer1 = nn.Sequential(BasicBlock(8, 8, 1), BasicBlock(8, 8, 1))
        self.layer2 = nn.Sequential(BasicBlock(8, 12, 2), BasicBlock(12, 12, 1))
        self.layer3 = nn.Sequential(BasicBlock(12, 16, 2), BasicBlock(16, 16, 1))
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(16, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(torch.flatten(self.avgpool(x), 1))


class Efficient(nn.Module):
    """EfficientNet-PyTorch's shape: a ModuleList of blocks, and one activation, registered last and called twice."""

    def __init__(self, classes: int = 5) -> None:
        super().__init__()
        self._conv_stem = nn.Conv2d(3, 8, 3, 2, 1, bias=False)
        self._bn0 = nn.BatchNorm2d(8)
        self._blocks = nn.ModuleList([BasicBlock(8, 8, 1), BasicBlock(8, 12, 2), BasicBlock(12, 12, 1)])
        self._conv_head = nn.Conv2d(12, 20, 1, bias=False)
        self._bn1 = nn.BatchNorm2d(20)
        self._avg_pooling = nn.AdaptiveAvgPool2d(1)
        self._dropout = nn.Dropout(0.2)
        self._fc = nn.Linear(20, classes)
        self._swish = nn.ReLU6()

    def forward(self, x: Tensor) -> Tensor:
        x = self._swish(self._bn0(self._conv_stem(x)))
        for block in self._blocks:
            x = block(x)
        x = self._swish(self._bn1(self._conv_head(x)))
        return self._fc(self._dropout(self._avg_pooling(x).flatten(1)))


class Vgg(nn.Module):
    """torchvision's VGG: features, avgpool, classifier."""

    def __init__(self, classes: int = 5) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *[
                nn.Conv2d(3, 4, 3, padding=1),
                nn.ReLU(True),
                nn.Conv2d(4, 4, 3, padding=1),
                nn.ReLU(True),
                nn.MaxPool2d(2),
            ],
            *[
                nn.Conv2d(4, 6, 3, padding=1),
                nn.ReLU(True),
                nn.Conv2d(6, 6, 3, padding=1),
                nn.ReLU(True),
                nn.MaxPool2d(2),
            ],
        )
        self.avgpool = nn.AdaptiveAvgPool2d(2)
        self.classifier = nn.Sequential(
            nn.Linear(24, 10), nn.ReLU(True), nn.Dropout(), nn.Linear(10, 8), nn.ReLU(True), nn.Linear(8, classes)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


class InvertedResidual(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        wide = 2 * inputs
        self.conv = nn.Sequential(
            nn.Sequential(nn.Conv2d(inputs, wide, 1), nn.BatchNorm2d(wide), nn.ReLU6(True)),
            nn.Sequential(nn.Conv2d(wide, wide, 3, stride, 1, groups=wide), nn.BatchNorm2d(wide), nn.ReLU6(True)),
            nn.Conv2d(wide, outputs, 1),
            nn.BatchNorm2d(outputs),
        )
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.residual else self.conv(x)


class MobileNet(nn.Module):
    """torchvision's MobileNetV2: a Sequential of blocks, a functional pool, a classifier with dropout."""

    def __init__(self, classes: int = 5) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1), nn.BatchNorm2d(6), nn.ReLU6(True)),
            InvertedResidual(6, 6, 1),
            InvertedResidual(6, 8, 2),
            InvertedResidual(8, 8, 1),
        )
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(8, classes))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(F.adaptive_avg_pool2d(self.features(x), 1).flatten(1))


class Attention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.dense = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        mixed = torch.softmax(self.query(x) @ self.key(x).mT / 4, dim=-1) @ self.value(x)
        return (self.norm(x + self.dense(mixed)),)


class EncoderLayer(nn.Module):
    """A Hugging Face block: it returns a tuple."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.attention = Attention(width)
        self.intermediate = nn.Linear(width, 2 * width)
        self.output = nn.Linear(2 * width, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> tuple[Tensor]:
        (x,) = self.attention(x)
        return (self.norm(x + self.output(F.gelu(self.intermediate(x)))),)


class Encoder(nn.Module):
    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.layer = nn.ModuleList(EncoderLayer(width) for _ in range(depth))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        for layer in self.layer:
            (x,) = layer(x)
        return {"last_hidden_state": x}


class Embeddings(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.words = nn.Embedding(20, width)
        self.positions = nn.Embedding(32, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, ids: Tensor) -> Tensor:
        return self.norm(self.words(ids) + self.positions(torch.arange(ids.shape[1], device=ids.device)))


class Bert(nn.Module):
    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.embeddings = Embeddings(width)
        self.encoder = Encoder(width, depth)

    def forward(self, ids: Tensor) -> dict[str, Tensor]:
        return self.encoder(self.embeddings(ids))


class BertClassifier(nn.Module):
    """Hugging Face's shape: nested wrappers, tuples inside, a dict with `loss` and `logits` outside."""

    def __init__(self, classes: int = 3, width: int = 8, depth: int = 3) -> None:
        super().__init__()
        self.bert = Bert(width, depth)
        self.dropout = nn.Dropout(0.1)
        self.classifier = nn.Linear(width, classes)

    def forward(self, ids: Tensor) -> dict[str, Tensor]:
        hidden = self.bert(ids)["last_hidden_state"]
        logits = self.classifier(self.dropout(hidden[:, 0]))
        return {"loss": logits.sum(), "logits": logits}


class Recurrent(nn.Module):
    """A text network: embedding, LSTM with its tuple, the last state, linear."""

    def __init__(self, classes: int = 2) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20, 6)
        self.lstm = nn.LSTM(6, 7, batch_first=True)
        self.dropout = nn.Dropout(0.5)
        self.fc = nn.Linear(7, classes)

    def forward(self, ids: Tensor) -> Tensor:
        states, _ = self.lstm(self.embedding(ids))
        return self.fc(self.dropout(states[:, -1]))


class TextConv(nn.Module):
    """Embedding, transposition, Conv1d: channels stand last, then first."""

    def __init__(self, classes: int = 2) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20, 6)
        self.conv = nn.Conv1d(6, 8, 3)
        self.relu = nn.ReLU()
        self.fc = nn.Linear(8, classes)

    def forward(self, ids: Tensor) -> Tensor:
        return self.fc(self.relu(self.conv(self.embedding(ids).mT)).amax(dim=2))


class Functional(nn.Module):
    """Everything but the weights is a function, and log_softmax comes after the last module."""

    def __init__(self, classes: int = 4) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 4, 3)
        self.conv2 = nn.Conv2d(4, 5, 3)
        self.fc = nn.Linear(5, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.conv2(F.relu(self.conv1(x))))
        return F.log_softmax(self.fc(x.mean(dim=(2, 3))), dim=1)


class Wrapped(nn.Module):
    """Normalisation around a network."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(0.5))
        self.net = net

    def forward(self, x: Tensor) -> object:
        return self.net((x - self.mean) / 0.25)
