"""A profile predicts what was put into it; modes never change an answer; what lies on disk is never trusted."""

from __future__ import annotations

import json
import math
import mmap
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import ialgebra
from ialgebra.errors import BindError, ModelError, ResourceError
from ialgebra.models.calibration import calibrate
from ialgebra.models.fitting import fit_heads
from ialgebra.models.network import Network
from ialgebra.models.profile import SAME, Mode, Profile
from ialgebra.system.runtime import free_memory, keeps_memory, peak_memory
from tests.clock import FakeClock
from tests.models.zoo import (
    BertClassifier,
    Efficient,
    Functional,
    MobileNet,
    ResNet,
    Vgg,
    images,
    plain,
    seeded,
    tokens,
)

# A profile of injected samples --------------------------------------------------------------------


def profile(curves: dict[Mode, dict[int, list[float]]] | None = None, shares: tuple[float, ...] = ()) -> Profile:
    return Profile("key", 100, cold_seconds=0.5, cold_shares=shares, curves=curves or {})


def test_nothing_is_known_but_the_first_pass_until_one_is_measured() -> None:
    fresh = profile(shares=(0.25, 1.0))
    assert fresh.seconds(10, 4) == pytest.approx(5.0)
    assert fresh.seconds(10, 4, layer=1) == pytest.approx(1.25)
    assert math.isnan(fresh.seconds(10, 4, mode="compiled"))
    assert not any(fresh.known(mode) for mode in SAME)
    fresh.observe("eager", 4, 1.0, 0.4)
    assert fresh.seconds(10, 4) == pytest.approx(1.0)
    assert not fresh.known("eager"), "the first pass of a size is slow"
    fresh.observe("eager", 4, 1.0, 0.2)
    assert fresh.known("eager")
    assert fresh.sizes("eager") == (4,)
    assert fresh.seconds(10, 4) == pytest.approx(0.5)


def test_seconds_a_row_are_interpolated_in_the_logarithm_of_the_batch_and_constant_outside() -> None:
    known = profile({"eager": {4: [0.4, 0.4], 16: [0.8, 0.8]}})
    assert known.per_row(8) == pytest.approx((0.1 + 0.05) / 2)
    assert known.per_row(1) == known.per_row(4) == pytest.approx(0.1)
    assert known.per_row(512) == pytest.approx(0.05)
    assert known.seconds(40, 16) == pytest.approx(2 * 0.8 + 8 * 0.075), "two batches of 16 and one of 8"


def test_the_median_counts_and_old_samples_leave() -> None:
    known = profile()
    for seconds in (9.0, 1.0, 1.0, 1.0, 9.0):
        known.observe("eager", 2, 1.0, seconds)
    assert known.per_row(2) == pytest.approx(0.5)
    for _ in range(20):
        known.observe("eager", 2, 1.0, 4.0)
    assert known.per_row(2) == pytest.approx(2.0)
    assert len(known.curves["eager"][2]) < 20


def test_a_batch_size_that_ran_once_gives_way_to_those_that_ran_again() -> None:
    known = profile({"eager": {16: [0.32, 0.32], 13: [2.6]}})
    assert known.per_row(13) == known.per_row(16)
    known.observe("eager", 13, 1.0, 0.13)
    assert known.per_row(13) == pytest.approx(0.01)


def test_a_truncated_pass_counts_as_its_share_of_a_full_one() -> None:
    known = profile(shares=(0.5, 1.0))
    known.observe("eager", 4, known.share(1), 0.2)
    assert known.seconds(4, 4) == pytest.approx(0.4)
    assert known.seconds(4, 4, layer=1) == pytest.approx(0.2)


def test_measured_shares_replace_those_of_the_first_pass_and_never_fall() -> None:
    known = profile(shares=(0.9, 0.95, 1.0))
    for shares in ((0.2, 0.5, 1.0), (0.3, 0.2, 0.9), (0.1, 0.4, 1.0)):
        known.observe_shares(shares)
    assert known.shares == (0.2, 0.4, 1.0)
    assert known.share(None) == 1.0


def test_the_best_batch_is_the_cheapest_measured_and_of_equals_the_smallest() -> None:
    known = profile({"eager": {8: [0.8, 0.8], 16: [0.8, 0.8], 32: [1.6, 1.6]}})
    best, seconds = known.best_batch("eager", [1, 2, 4, 8, 16, 32, 64])
    assert (best, seconds) == (16, pytest.approx(0.05))
    known = profile({"eager": {32: [3.2, 3.2]}})
    assert known.best_batch("eager", [1, 16, 32, 64])[0] == 32, "nothing speaks for sizes that were not measured"
    assert known.best_batch("compiled", [4, 8])[0] == 4
    assert math.isnan(known.best_batch("compiled", [4, 8])[1])


def test_the_samples_of_a_session_stay_few() -> None:
    known = profile({"eager": {16: [0.32, 0.32]}})
    for batch in range(1, 1000):
        known.observe("eager", batch, 1.0, 0.02 * batch)
    assert len(known.curves["eager"]) <= 64
    assert 16 in known.curves["eager"]
    assert len(known.to_json()) < 20_000


# On disk ------------------------------------------------------------------------------------------


def full() -> Profile:
    found = profile({"eager": {4: [0.4, 0.5]}, "compiled": {16: [0.1]}}, shares=(0.5, 1.0))
    found.observe_shares((0.25, 1.0))
    found.unusable["channels-last"] = "RuntimeError: view"
    found.compile_seconds = 60.0
    return found


def test_a_profile_comes_back_as_it_was(own_cache: Path) -> None:
    kept = full()
    kept.save()
    found = Profile.load("key", 2)
    assert found is not None
    assert found.to_json() == kept.to_json()
    assert found.seconds(100, 4, layer=1) == kept.seconds(100, 4, layer=1)
    assert not found.known("channels-last")
    assert [file.name for file in own_cache.iterdir()] == ["profile-key.json"], "and nothing half-written beside it"
    assert Profile.load("key", 3) is None, "of a model with other layers"
    assert Profile.load("other", 2) is None


def changed(**values: object) -> str:
    return json.dumps({**json.loads(full().to_json()), **values})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{}",
        "not json",
        '{"format": "ialgebra profile 1"}',
        full().to_json()[:-40],
        "[" * 100_000,
        changed(format="ialgebra profile 2"),
        changed(key="another"),
        changed(key=None),
        changed(bytes_per_row=-1),
        changed(bytes_per_row=True),
        changed(cold_seconds="1"),
        changed(cold_seconds=math.nan),
        changed(cold_shares=[0.5]),
        changed(cold_shares=[0.5, 1.5]),
        changed(passes=[[0.5]]),
        changed(curves={"eager": {"4": [0.4, -1.0]}}),
        changed(curves={"eager": {"4": [math.inf]}}),
        changed(curves={"eager": {"0": [0.4]}}),
        changed(curves={"eager": {"4": []}}),
        changed(curves={"eager": {"four": [0.4]}}),
        changed(curves={"eager": {"4": 0.4}}),
        changed(curves={"eager": [1]}),
        changed(curves={"sideways": {"4": [0.4]}}),
        changed(curves=7),
        changed(unusable={"eager": 3}),
        changed(unusable=["eager"]),
        changed(compile_seconds=0),
    ],
)
def test_a_damaged_file_is_no_file(own_cache: Path, text: str) -> None:
    (own_cache / "profile-key.json").write_text(text)
    assert Profile.load("key", 2) is None


def test_bytes_that_are_no_text_are_no_file(own_cache: Path) -> None:
    (own_cache / "profile-key.json").write_bytes(b"\x80\x04\x95\xff")
    assert Profile.load("key", 2) is None
    (own_cache / "profile-key.json").unlink()
    (own_cache / "profile-key.json").mkdir()
    assert Profile.load("key", 2) is None
    full().save()  # cannot replace a folder
    assert [file.name for file in own_cache.iterdir()] == ["profile-key.json"]


@pytest.mark.parametrize("place", ["/dev/null", "/dev/null/deeper", "/proc/nowhere", "a\0b"])
def test_a_cache_that_cannot_be_written_is_no_error(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if "\0" in place:
        monkeypatch.setattr(os, "environ", {**os.environ, "IALGEBRA_CACHE": place})
    else:
        monkeypatch.setenv("IALGEBRA_CACHE", place)
    full().save()
    assert Profile.load("key", 2) is None
    assert Network("f", seeded(plain)).forward(images(2), [None])[None].shape == (2, 4)


def test_the_cache_lies_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("IALGEBRA_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    full().save()
    assert (tmp_path / "xdg" / "ialgebra" / "profile-key.json").is_file()
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    full().save()
    assert (tmp_path / ".cache" / "ialgebra" / "profile-key.json").is_file()


# A network's profile ------------------------------------------------------------------------------


def test_the_probing_pass_tells_shares_and_memory() -> None:
    network = Network("f", seeded(plain))
    with pytest.raises(BindError, match="not known yet"):
        _ = network.profile
    network.probe(images(1)[0])
    found = network.profile
    assert len(found.shares) == len(network.layers)
    assert sorted(found.shares) == list(found.shares)
    assert 0 < found.shares[0] < found.shares[-1] <= 1
    # The second convolution reads 5 maps of 14 × 14 and writes 6 of 12 × 12, while the input is held by the caller.
    assert found.bytes_per_row == 4 * (3 * 16 * 16 + 5 * 14 * 14 + 6 * 12 * 12)
    assert found.cold_seconds is not None
    assert found.seconds(7, 2) == pytest.approx(7 * found.cold_seconds)


def test_every_pass_is_a_sample_and_the_layers_are_timed_in_passing() -> None:
    network, batch = Network("f", seeded(ResNet)), images(6)
    network.probe(batch[0])
    first = network.profile.shares
    for _ in range(4):
        network.forward(batch, [None])
    assert len(network.profile.curves["eager"][6]) == 4
    assert network.profile.passes != []
    assert network.profile.shares != first
    assert not any(module._forward_hooks for module in network.module.modules())  # type: ignore[union-attr]


def test_what_was_measured_serves_the_next_process(own_cache: Path) -> None:
    batch = images(4)
    for network in (one := Network("f", seeded(ResNet)), Network("g", seeded(ResNet))):
        network.probe(batch[0])
        for _ in range(3):
            network.forward(batch, [None])
    again = Network("h", seeded(lambda: ResNet()))
    again.probe(batch[0])
    assert again.profile.known("eager")
    assert again.profile.key == one.profile.key
    assert len(list(own_cache.iterdir())) == 1


@pytest.mark.parametrize("threads", [1, 2])
def test_profiles_are_of_a_structure_a_form_and_a_machine(threads: int) -> None:
    network = Network("f", seeded(plain))
    network.probe(images(1)[0])
    own = network.profile.key
    other = {Network("g", seeded(plain)), Network("g", seeded(plain), layers=["0", "6"])}
    strided = seeded(plain)
    strided[0].stride = (2, 2)  # the same parameters
    wide = seeded(plain).double()
    keys = set()
    for each in (*other, Network("g", strided), Network("g", wide), Network("g", seeded(ResNet))):
        each.probe(images(1)[0])
        keys.add(each.profile.key)
    assert len(keys) == 5
    assert own in keys, "names and weights make no difference"
    assert network.profile_of((3, 32, 32)).key != own
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(before + threads)
        assert network.profile.key != own
    finally:
        torch.set_num_threads(before)
    assert network.profile.key == own


def test_inputs_of_another_length_have_a_profile_of_their_own() -> None:
    network = Network("f", seeded(BertClassifier))
    network.probe(tokens(1, 9)[0])
    short, long = network.profile, network.profile_of((18,))
    assert long.cold_seconds == pytest.approx(2 * short.cold_seconds)  # type: ignore[operator]
    for _ in range(2):
        network.forward(tokens(3, 18), [None])
    assert long.known("eager")
    assert not short.known("eager")
    assert short.curves == {}


def test_a_callable_has_a_profile_without_layers() -> None:
    network = Network("f", lambda batch: batch.flatten(1)[:, :3])
    network.forward(images(4), [None])
    network.forward(images(4), [None], "channels-last")
    network.forward(images(4), [None], "compiled")
    assert network.profile.shares == ()
    assert network.profile.bytes_per_row == images(1).nbytes
    assert set(network.profile.curves) == {"eager"}


# Modes --------------------------------------------------------------------------------------------

BUILDS = [plain, ResNet, Efficient, Vgg, MobileNet, Functional]


@pytest.mark.parametrize("build", BUILDS)
def test_answers_are_the_same_channels_last(build: Callable[[], nn.Module]) -> None:
    network, batch = Network("f", seeded(build)), images(7)
    layers = [layer.index for layer in fit_heads(network, images(12)).layers] if build is ResNet else []
    strides = [parameter.stride() for parameter in network.module.parameters()]  # type: ignore[union-attr]
    expected = network.forward(batch, [None, *layers])
    found = network.forward(batch, [None, *layers], "channels-last")
    for layer, value in expected.items():
        assert (found[layer] - value).abs().max() <= 1e-5 * (value.max() - value.min())
    assert set(network.profile.curves["channels-last"]) == {7}
    assert network.profile.unusable == {}
    assert batch.is_contiguous()
    assert [parameter.stride() for parameter in network.module.parameters()] == strides  # type: ignore[union-attr]


class Viewing(nn.Module):
    """`view` needs memory in the order of the dimensions."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.fc = nn.Linear(4 * 14 * 14, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return self.fc(x.view(len(x), -1))


class Peeking(nn.Module):
    """Reads memory as it lies: another layout, another answer, and no error."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return x.as_strided((len(x), 3), (x.stride(0), 1))


@pytest.mark.parametrize(("build", "why"), [(Viewing, "view"), (Peeking, "asks how its numbers lie")])
def test_a_model_that_reads_memory_as_it_lies_runs_eagerly(build: Callable[[], nn.Module], why: str) -> None:
    network, batch = Network("f", seeded(build)), images(5)
    expected = network.forward(batch, [None])[None]
    for _ in range(3):
        assert torch.equal(network.forward(batch, [None], "channels-last")[None], expected)
    assert why in network.profile.unusable["channels-last"]
    again = Network("g", seeded(build))
    again.probe(batch[0])
    assert "channels-last" in again.profile.unusable, "nor is it tried in the next process"


def test_a_fault_of_the_model_itself_is_no_fault_of_the_mode() -> None:
    network, batch = Network("f", seeded(plain)), images(4)
    network.probe(batch[0])
    batch[2] = math.nan
    with pytest.raises(ModelError, match="returned NaN for row 2") as caught:
        network.forward(batch, [None], "channels-last")
    assert caught.value.row == 2
    assert network.profile.unusable == {}


def test_out_of_memory_in_a_mode_passes_unchanged_and_a_smaller_batch_may_pass() -> None:
    def full(_module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        if len(arguments[0]) > 2 and arguments[0].is_contiguous(memory_format=torch.channels_last):
            raise torch.OutOfMemoryError("out of memory")

    network, batch = Network("f", seeded(plain)), images(4)
    network.module.register_forward_pre_hook(full)  # type: ignore[union-attr]
    expected = network.forward(batch, [None])[None]
    with pytest.raises(torch.OutOfMemoryError):
        network.forward(batch, [None], "channels-last")
    assert torch.allclose(network.forward(batch[:2], [None], "channels-last")[None], expected[:2], atol=1e-6)
    assert network.profile.unusable == {}
    assert set(network.profile.curves["channels-last"]) == {2}


def test_a_model_that_writes_to_its_input_does_so_to_a_copy_in_every_mode() -> None:
    class Writing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 3, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(x.sub_(0.5)).mean(dim=(2, 3))

    network = Network("f", seeded(Writing))
    batch = torch.rand(5, 1, 8, 8)  # of one channel: both layouts at once
    kept = batch.clone()
    expected = network.forward(batch, [None])[None]
    assert torch.allclose(network.forward(batch, [None], "channels-last")[None], expected, atol=1e-6)
    assert torch.equal(batch, kept)


def test_bfloat16_is_only_used_where_it_is_asked_for() -> None:
    network, batch = Network("f", seeded(ResNet)), images(4)
    expected = network.forward(batch, [None])[None]
    found = network.forward(batch, [None], "autocast")[None]
    assert found.dtype == torch.float32
    assert 0 < (found - expected).abs().max() < 0.1 * (expected.max() - expected.min())
    assert torch.equal(network.forward(batch, [None])[None], expected)
    assert not torch.is_autocast_enabled("cpu")
    assert set(network.profile.curves["autocast"]) == {4}


# Compiled -----------------------------------------------------------------------------------------


class Backend:
    """Counts the graphs that are compiled and the passes that run compiled."""

    def __init__(self, error: Exception | None = None, shift: float = 0.0) -> None:
        self.error, self.shift = error, shift
        self.graphs = self.passes = 0

    def __call__(self, graph: torch.fx.GraphModule, _example: list[Tensor]) -> Callable[..., object]:
        if self.error is not None:
            raise self.error
        self.graphs += 1

        def run(*arguments: Tensor) -> object:
            self.passes += 1
            found = graph(*arguments)
            return [found[0] + self.shift, *found[1:]] if self.shift else found

        return run


@pytest.fixture
def clean_compiler() -> object:
    yield
    torch.compiler.reset()


@pytest.mark.usefixtures("clean_compiler")
class TestCompiled:
    def test_passes_of_the_compiled_form_run_compiled_and_others_as_they_are(self) -> None:
        network, batch, backend = Network("f", seeded(ResNet)), images(6), Backend()
        expected = network.forward(batch, [None])[None]
        fit_heads(network, images(12), layers=[1])
        assert network.compile(batch, backend)
        assert network.compiled_for(6)
        assert not network.compiled_for(5)
        passes = backend.passes
        assert torch.allclose(network.forward(batch, [None], "compiled")[None], expected, atol=1e-6)
        assert backend.passes == passes + 1
        network.forward(batch[:5], [None], "compiled")
        network.forward(batch, [1, None], "compiled")
        network.forward(batch, [1], "compiled")
        network.forward(batch, [None])
        assert (backend.graphs, backend.passes) == (1, passes + 1)
        assert network.profile.known("compiled")
        assert set(network.profile.curves["compiled"]) == {6}
        assert network.profile.compile_seconds is not None

    def test_new_weights_count_at_once(self) -> None:
        network, batch, backend = Network("f", seeded(plain)), images(4), Backend()
        network.forward(batch, [None])
        assert network.compile(batch, backend)
        network.module[0].weight.data.neg_()  # type: ignore[index]
        expected = network.forward(batch, [None])[None]
        assert torch.allclose(network.forward(batch, [None], "compiled")[None], expected, atol=1e-6)
        assert backend.graphs == 1

    @pytest.mark.parametrize(
        "change",
        [
            lambda model: setattr(model[0], "stride", (2, 2)),
            lambda model: model[2].register_forward_hook(lambda _m, _a, result: result * 3),
            lambda model: model.__setitem__(1, nn.Tanh()),
        ],
    )
    def test_a_model_that_changed_is_not_run_as_it_was_compiled(self, change: Callable[[nn.Module], object]) -> None:
        network, batch, backend = Network("f", seeded(plain)), images(4), Backend()
        before = network.forward(batch, [None])[None]
        assert network.compile(batch, backend)
        change(network.module)  # type: ignore[arg-type]
        expected = network.forward(batch, [None])[None]
        assert not torch.allclose(expected, before)
        assert not network.compiled_for(4)
        assert torch.allclose(network.forward(batch, [None], "compiled")[None], expected, atol=1e-6)
        assert backend.graphs == 1, "nothing is compiled unasked"

    def test_what_settings_do_not_see_is_never_compiled_anew_in_a_query(self) -> None:
        class Hidden(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.fc = nn.Linear(4, 3)
                self._gain = 1.0

            def forward(self, x: Tensor) -> Tensor:
                return self._gain * self.fc(x)

        network, batch, backend = Network("f", seeded(Hidden)), torch.rand(4, 4), Backend()
        network.forward(batch, [None])
        assert network.compile(batch, backend)
        network.module._gain = 2.0  # type: ignore[union-attr]
        expected = network.forward(batch, [None])[None]
        assert torch.allclose(network.forward(batch, [None], "compiled")[None], expected, atol=1e-6)
        assert backend.graphs == 1

    @pytest.mark.parametrize("error", [RuntimeError("no compiler"), TimeoutError("too slow"), ImportError("no triton")])
    def test_a_failure_to_compile_leaves_the_model_eager(self, error: Exception) -> None:
        network, batch = Network("f", seeded(plain)), images(4)
        expected = network.forward(batch, [None])[None]
        assert not network.compile(batch, Backend(error))
        assert str(error) in network.profile.unusable["compiled"]
        assert torch.equal(network.forward(batch, [None], "compiled")[None], expected)
        assert network.compile(batch, Backend()), "and it may be tried again"
        assert network.profile.unusable == {}

    def test_a_compiler_that_changes_answers_is_not_believed(self) -> None:
        network, batch = Network("f", seeded(plain)), images(4)
        expected = network.forward(batch, [None])[None]
        assert not network.compile(batch, Backend(shift=0.01))
        assert torch.equal(network.forward(batch, [None], "compiled")[None], expected)
        assert not network.compiled_for(4)

    @pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
    def test_what_is_compiled_already_is_left_alone(self) -> None:
        backend = Backend()
        models = [
            torch.compile(seeded(plain), backend=backend),
            torch.jit.script(seeded(plain)),
            lambda x: x[:, :3, 0, 0],
        ]
        for model in models:
            network = Network("f", model)  # type: ignore[arg-type]
            network.forward(images(4), [None])
            assert not network.compile(images(4), Backend(RuntimeError("asked")))
            assert "asked" not in network.profile.unusable["compiled"]

    def test_the_model_is_left_as_it_was_found(self) -> None:
        model = seeded(ResNet).train()
        before = {name: (value.clone(), value.stride()) for name, value in model.state_dict().items()}
        network, batch = Network("f", model), images(4)
        content = network.fingerprint()
        network.compile(batch, Backend())
        for mode in ("compiled", "channels-last", "autocast"):
            network.forward(batch, [None], mode)
        assert network.fingerprint() == content
        assert all(module.training for module in model.modules())
        assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
        for name, value in model.state_dict().items():
            assert torch.equal(value, before[name][0])
            assert value.stride() == before[name][1]
        assert all(parameter.requires_grad and not parameter.is_inference() for parameter in model.parameters())


def test_threads_take_turns_in_all_modes() -> None:
    model, batch = seeded(ResNet), images(5)
    networks = [Network("f", model), Network("g", model)]
    expected = networks[0].forward(batch, [None])[None]
    faults: list[object] = []

    def work(network: Network, mode: Mode) -> None:
        for _ in range(15):
            found = network.forward(batch, [None], mode)[None]
            if not torch.allclose(found, expected, atol=1e-5):
                faults.append(mode)
            network.profile.seconds(100, 16, layer=1)
            network.profile.to_json()

    threads = [
        threading.Thread(target=work, args=(each, mode)) for each in networks for mode in ("eager", "channels-last")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert Profile.load(networks[0].profile.key, len(networks[0].layers)) is not None


# Calibration --------------------------------------------------------------------------------------


def test_calibration_measures_batches_modes_depths_and_memory_and_keeps_them(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock(monkeypatch)

    class Slow(ResNet):
        def forward(self, x: Tensor) -> Tensor:
            clock.sleep(0.010 + 0.002 * len(x))  # a row is cheaper in company
            return super().forward(x)

    network = Network("f", seeded(Slow))
    found = calibrate(network, images(1)[0], limit=1.0)
    assert found is network.profile
    assert found.known("eager")
    assert found.known("channels-last")
    sizes = sorted(found.curves["eager"])
    assert sizes[:3] == [1, 2, 4]
    assert all(len(samples) >= 3 for curve in found.curves.values() for samples in curve.values())
    assert len(found.passes) == 3
    assert set(found.curves) == {"eager", "channels-last"}
    kept = Profile.load(found.key, len(network.layers))
    assert kept is not None
    assert kept.to_json() == found.to_json()


def test_a_model_with_its_own_batch_size_is_measured_there() -> None:
    network = Network("f", seeded(plain), batch_size=6)
    found = calibrate(network, images(1)[0])
    assert {mode: max(curve) for mode, curve in found.curves.items()} == {"eager": 6, "folded": 6, "channels-last": 6}
    assert found.best_batch("eager", found.curves["eager"])[0] == 6


def test_calibration_stops_short_of_memory_that_runs_out() -> None:
    class Large(nn.Module):
        def __init__(self, most: int) -> None:
            super().__init__()
            self.fc, self.most = nn.Linear(4, 2), most

        def forward(self, x: Tensor) -> Tensor:
            if len(x) > self.most:
                raise torch.OutOfMemoryError("out of memory")
            return self.fc(x)

    found = calibrate(Network("f", Large(2)), torch.rand(4))
    assert set(found.curves["eager"]) <= {1, 2}
    assert found.known("eager")
    with pytest.raises(ResourceError, match="out of memory"):
        calibrate(Network("f", Large(0)), torch.rand(4))
    with pytest.raises(ResourceError, match="at a batch of 8 rows"):
        calibrate(Network("f", Large(2), batch_size=8), torch.rand(4))


def test_a_batch_size_that_fails_once_is_not_among_those_measured() -> None:
    class Fragmented(nn.Linear):
        _passes = 0

        def forward(self, x: Tensor) -> Tensor:
            self._passes += len(x) == 4
            if len(x) == 4 and self._passes == 3:
                raise torch.OutOfMemoryError("out of memory")
            return super().forward(x)

    assert set(calibrate(Network("f", Fragmented(4, 2)), torch.rand(4)).curves["eager"]) == {1, 2}


def test_calibration_stays_within_what_memory_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network("f", seeded(plain))
    network.probe(images(1)[0])
    each = network.profile.bytes_per_row
    monkeypatch.setattr("ialgebra.models.calibration.free_memory", lambda _device: 9 * each)
    assert max(calibrate(network, images(1)[0]).curves["eager"]) <= 4


def test_calibration_of_a_failing_model_says_so() -> None:
    class Failing(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            if len(x) > 1:
                raise ValueError("one at a time")
            return super().forward(x)

    with pytest.raises(ModelError, match="one at a time"):
        calibrate(Network("f", Failing(4, 2)), torch.rand(4))


def test_a_session_calibrates_by_name_and_answers_with_a_table() -> None:
    con = ialgebra.connect(progress=False)
    con.register_model("f", seeded(ResNet))
    con.register_model("v", seeded(Viewing))
    with pytest.raises(BindError, match="name an input"):
        con.calibrate("f")
    con.register_input("x", images(1)[0])
    text = con.calibrate("f").text
    assert "channels-last" in text
    assert "layer2" in text
    assert "~" in text
    con.register_input("y", torch.rand(5))
    assert con.calibrate("f").is_text, "the input that it was run with"
    assert "not channels-last: " in con.calibrate("v", "x").text
    with pytest.raises(BindError, match="unknown model 'ff'; did you mean 'f'"):
        con.calibrate("ff")
    with pytest.raises(BindError, match="unknown input 'z'"):
        con.calibrate("f", "z")
    assert con.sql("select * from f(x) budget 40").stats.rows > 0


@pytest.mark.usefixtures("clean_compiler")
def test_a_session_compiles_where_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = Backend()
    original = Network.compile
    monkeypatch.setattr(Network, "compile", lambda network, batch: original(network, batch, backend))
    con = ialgebra.connect(progress=False)
    con.register_model("f", seeded(plain))
    con.register_input("x", images(1)[0])
    text = con.calibrate("f", compile=True).text
    assert "compiled in" in text
    assert backend.passes > 3


# The process --------------------------------------------------------------------------------------


@pytest.mark.skipif(peak_memory() is None, reason="Linux's /proc")
def test_the_peak_of_memory_is_seen_and_forgotten() -> None:
    peak_memory(reset=True)
    before = peak_memory(reset=True)
    with mmap.mmap(-1, 64 << 20) as block:  # new pages, whatever the allocator has kept
        for _ in range(64):
            block.write(b"1" * (1 << 20))
    peak = peak_memory(reset=True)
    assert before is not None
    assert peak is not None
    assert peak - before > 50 << 20
    assert (free_memory() or 0) > 0
    assert isinstance(keeps_memory(), bool)


def test_memory_of_a_device_that_is_not_there_is_not_known() -> None:
    if not torch.cuda.is_available():
        assert peak_memory("cuda") is None
        assert free_memory("cuda:0") is None
