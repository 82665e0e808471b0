"""Generators of other libraries are told by what they have: fakes with the interfaces of StyleGAN's and diffusers'."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ialgebra
from ialgebra.errors import BindError
from ialgebra.generators import Autoencoder, LinearGenerator, StyleNetwork
from ialgebra.results.scores import Scores


class _Mapping(nn.Module):
    """z and labels to w, which is the same for all layers; `w_avg` is the mean that truncation draws to."""

    w_avg: Tensor

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.layers, self.fc = layers, nn.Linear(5, 4)
        self.register_buffer("w_avg", torch.arange(4.0))

    def forward(
        self,
        z: Tensor,
        c: Tensor,
        truncation_psi: float = 1,
        truncation_cutoff: int | None = None,
        update_emas: bool = False,
    ) -> Tensor:
        assert c.shape == (len(z), 0)
        w = self.fc(z).unsqueeze(1).repeat(1, self.layers, 1)
        return self.w_avg.lerp(w, truncation_psi)


class _Synthesis(nn.Module):
    """w+ to pictures; with random noise, unless it is told to be constant."""

    def __init__(self, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(4, 3 * 8 * 8) for _ in range(layers))
        self.register_buffer("noise_const", torch.randn(3, 8, 8))

    def forward(self, ws: Tensor, **block_kwargs: object) -> Tensor:
        assert ws.dtype == torch.float32
        mode = block_kwargs.get("noise_mode", "random")
        drawn = torch.stack([layer(ws[:, k]) for k, layer in enumerate(self.layers)]).sum(dim=0).reshape(-1, 3, 8, 8)
        return drawn + (0.1 * torch.randn_like(drawn) if mode == "random" else 0.1 * self.noise_const)


class _StyleGAN(nn.Module):
    """As `training.networks_stylegan2.Generator`."""

    def __init__(self) -> None:
        super().__init__()
        self.z_dim, self.c_dim, self.w_dim = 5, 0, 4
        self.img_resolution, self.img_channels, self.num_ws = 8, 3, 6
        self.synthesis, self.mapping = _Synthesis(6), _Mapping(6)


class _Latents:
    """As `DiagonalGaussianDistribution`."""

    def __init__(self, mean: Tensor) -> None:
        self.mean = mean

    def mode(self) -> Tensor:
        return self.mean

    def sample(self) -> Tensor:
        return self.mean + torch.randn_like(self.mean)


class _Kl(nn.Module):
    """As `AutoencoderKL`: half the size, four channels of latents."""

    def __init__(self, **config: object) -> None:
        super().__init__()
        self.config = SimpleNamespace(scaling_factor=0.18215, **config)
        self.encoder = nn.Conv2d(3, 4, 2, stride=2)
        self.decoder = nn.ConvTranspose2d(4, 3, 2, stride=2)

    def encode(self, x: Tensor, return_dict: bool = True) -> object:
        return SimpleNamespace(latent_dist=_Latents(self.encoder(x)))

    def decode(self, z: Tensor, return_dict: bool = True, generator: object = None) -> object:
        return SimpleNamespace(sample=self.decoder(z))


@pytest.fixture
def con() -> Iterator[ialgebra.Session]:
    torch.manual_seed(0)
    with ialgebra.connect(progress=False) as con:
        xs = torch.randn(12, 3, 8, 8)
        con.register_model("f", nn.Sequential(nn.Flatten(), nn.Linear(192, 2)), classes=["cat", "dog"])
        con.register_model("pixels", nn.Flatten(), outputs="values")
        con.register_input("xs", xs)
        con.register_input("x", xs[0])
        yield con


def _drawn(con: ialgebra.Session, text: str) -> Tensor:
    answer = con.sql(f"predict pixels(target => all) from {text}")
    assert isinstance(answer, Scores)
    return torch.from_numpy(answer.models[0].target_scores).float()


def test_a_style_network_draws_codes_of_its_layers_without_random_noise(con: ialgebra.Session) -> None:
    module = _StyleGAN().eval()
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(192, 24))
    con.register_generator("G", module, encoder=encoder, collection="xs")
    made = con.catalog().generators["G"]
    assert (made.levels, made.width, made.shape) == (6, 4, (3, 8, 8))
    x = con.catalog().inputs["x"].elements[0].tensor
    with torch.no_grad():
        codes = encoder(x[None]).reshape(1, 6, 4)
        wanted = module.synthesis(codes, noise_mode="const").reshape(-1)
    torch.testing.assert_close(_drawn(con, "reconstruct(x)")[0], wanted, rtol=0, atol=1e-5)
    assert torch.equal(_drawn(con, "reconstruct(x)"), _drawn(con, "reconstruct(reconstruct(x))"))
    con.sql("create axis dogs on G as score(f, 'dog')")
    direction = con.catalog().axes["dogs"].direction.float()
    with torch.no_grad():
        moved = module.synthesis(codes + 2 * direction, noise_mode="const").reshape(-1)
    torch.testing.assert_close(_drawn(con, "latent(x, 'dogs', 2)")[0], moved, rtol=0, atol=1e-4)
    con.sql("predict f from mix(x, x, layers => (1, 6))")
    with pytest.raises(BindError, match="levels 1 to 6"):
        con.sql("predict f from mix(x, x, layers => 7)")


def test_a_style_network_without_an_encoder_says_what_it_lacks(con: ialgebra.Session) -> None:
    con.register_generator("G", _StyleGAN())  # whose shape is its own
    assert con.catalog().generators["G"].shape == (3, 8, 8)
    with pytest.raises(BindError, match="encoder="):
        con.sql("predict f from reconstruct(x)")


def test_noise_is_mapped_to_codes_near_their_mean() -> None:
    module = _StyleGAN()
    made, z = StyleNetwork(module), torch.randn(3, 5)
    with torch.no_grad():
        whole, none, half = made.mapping(z), made.mapping(z, truncation=0), made.mapping(z, truncation=0.5)
    assert made.mean is not None
    torch.testing.assert_close(none, made.mean.expand(3, 6, 4))
    torch.testing.assert_close(half, (whole + none) / 2)


def test_synthesis_that_knows_no_noise_gets_no_word_of_it() -> None:
    module = _StyleGAN()
    module.synthesis = nn.Sequential(nn.Flatten(), nn.Linear(24, 192))  # type: ignore[assignment]
    with torch.no_grad():
        assert StyleNetwork(module).synthesis(torch.zeros(2, 6, 4)).shape == (2, 192)


@pytest.mark.parametrize("shift", [None, 0.5])
def test_an_autoencoder_of_diffusers_draws_the_mode_of_its_latents(con: ialgebra.Session, shift: float | None) -> None:
    module = _Kl(shift_factor=shift).train()
    con.register_generator("G", module, collection="xs")
    assert module.training
    made = con.catalog().generators["G"]
    assert (made.levels, made.width) == (4, 16)
    xs = torch.stack([each.tensor for each in con.catalog().inputs["xs"].elements])
    with torch.no_grad():
        latents = module.encoder(xs)
        wanted = module.decoder(latents).flatten(1)
    torch.testing.assert_close(_drawn(con, "reconstruct(xs)"), wanted, rtol=0, atol=1e-5)
    (code,) = made.codes([xs[0]], ["x"])
    scaled = (latents[0] - (shift or 0)).reshape(4, 16) * 0.18215
    torch.testing.assert_close(code.float(), scaled, rtol=0, atol=1e-5)


def test_an_autoencoder_that_refuses_such_inputs_is_a_bind_error(con: ialgebra.Session) -> None:
    con.register_input("flat", np.zeros((9, 7), dtype=np.float32))
    with pytest.raises(BindError, match=r"autoencoder 'G' does not encode an input of shape \(7,\)"):
        con.register_generator("G", _Kl(), collection="flat")
    with pytest.raises(BindError, match="does not say what it draws"):
        con.register_generator("G", _Kl())


def test_other_objects_are_taken_as_they_are() -> None:
    made = LinearGenerator.fit(torch.randn(20, 6), 2)
    assert not isinstance(made, Autoencoder | StyleNetwork)
    with ialgebra.connect(progress=False) as con:
        con.register_input("xs", torch.randn(20, 6))
        con.register_generator("G", made, collection="xs")
        assert con.catalog().generators["G"].generator is made
        with pytest.raises(BindError, match="is no generator"):
            con.register_generator("H", nn.Linear(3, 3), collection="xs")
