"""attend inside torch.compile, torch.export and autocast, and after a fork: the same numbers, and one graph."""

import dataclasses
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

import attnkit
from attnkit import Pairwise, attend
from attnkit.attention.combine import Mixture, Sum
from attnkit.attention.factored import Linear
from attnkit.attention.normalizer import Sparsemax
from attnkit.attention.part import Dims
from attnkit.attention.pattern import Anchors, Causal, Documents, Window
from attnkit.attention.pattern.base import Pattern
from attnkit.attention.position import Alibi, RelativeBias, Rotary
from attnkit.attention.score import Additive, Cosine, SoftCap
from attnkit.attention.where import Where
from attnkit.kernels.plan import KERNELS

CASES = [
    (Pairwise(), "auto"),
    (Pairwise(position=Rotary(), pattern=Causal()), "sdpa"),
    (Pairwise(Cosine(), RelativeBias(8, 16)), "auto"),
    (Pairwise(SoftCap(Additive(4)), normalizer=Sparsemax()), "rows"),
    (Pairwise(position=Alibi(learned=True)), "rows"),
    (Pairwise(position=Alibi(), pattern=Window(5, causal=True)), "slabs"),
    (Pairwise(pattern=Documents() & Causal()), "auto"),
    (Pairwise(pattern=Window(3)), "banded"),
    (Pairwise(), "lengths"),
    (attnkit.named("talking-heads"), "rows"),
    (Sum((Pairwise(pattern=Window(3)), Linear())), "parts"),
    (Mixture((Pairwise(pattern=Window(3)), Pairwise())), "auto"),
    (attnkit.named("causal-linear"), "scan"),
    (attnkit.named("performer"), "auto"),
    (attnkit.named("causal-linear"), "reference"),
]


def inputs(spec: Any, T: int = 11, S: int = 13) -> list[Any]:
    """q, k, v, a state, the parameters, lengths and documents."""
    generator = torch.Generator().manual_seed(T * S)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator).requires_grad_()

    params = attnkit.init_params(spec, Dims(4, 8, 6), generator)
    params = {
        name: (x + 0.3 * torch.randn(x.shape, generator=generator)).requires_grad_() for name, x in params.items()
    }
    document = (torch.arange(S) > S // 2).long()
    return [draw(2, 4, T, 8), draw(2, 2, S, 8), draw(2, 2, S, 6), params, torch.tensor([S - 4, 0]), document]


def caller(spec: Any, kernel: str, dropout: float = 0.0) -> Callable[..., Tensor]:
    def call(q: Tensor, k: Tensor, v: Tensor, params: dict[str, Tensor], lengths: Tensor, document: Tensor) -> Tensor:
        T, S = q.shape[2], k.shape[2]
        where = Where.of(T, S, lengths=lengths, query_document=document[-T:], key_document=document)
        return attend(q * 1.0, k, v, spec, where=where, params=params, kernel=kernel, dropout=dropout)

    return call


def differentiated(call: Callable[..., Tensor], given: list[Any]) -> list[Tensor]:
    out = call(*given)
    direction = torch.randn(out.shape, generator=torch.Generator().manual_seed(1))
    grads = torch.autograd.grad((out * direction).sum(), [*given[:3], *given[3].values()], allow_unused=True)
    return [out, *(grad for grad in grads if grad is not None)]


class Counted:
    """A backend that counts the graphs it is given."""

    def __init__(self, inner: str) -> None:
        self.graphs, self.inner = 0, inner

    def __call__(self, graph: Any, examples: Any) -> Any:
        from torch._dynamo.backends.registry import lookup_backend

        self.graphs += 1
        return lookup_backend(self.inner)(graph, examples)


@pytest.fixture(autouse=True)
def _fresh() -> None:
    torch.compiler.reset()


def test_every_kernel_but_flex_is_compiled_here() -> None:
    # blocks takes bfloat16 alone, which the cases here are not drawn in.
    assert {kernel for _, kernel in CASES} | {"blocks"} >= {each.name for each in KERNELS if not each.on_request}


@pytest.mark.filterwarnings("error:Dynamo detected a call to a `functools.lru_cache`:UserWarning")
@pytest.mark.parametrize(("spec", "kernel"), CASES, ids=str)
def test_compiled_it_is_one_graph_with_the_same_numbers_and_gradients(spec: Any, kernel: str) -> None:
    given = inputs(spec)
    backend = Counted("aot_eager")
    compiled = torch.compile(caller(spec, kernel), backend=backend, fullgraph=True)
    got, expected = differentiated(compiled, given), differentiated(caller(spec, kernel), given)
    assert len(got) == len(expected) >= 4
    for one, other in zip(got, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
    assert backend.graphs == 1
    with torch.no_grad():
        torch.testing.assert_close(compiled(*given), expected[0], rtol=1e-5, atol=1e-5)


def test_other_sizes_need_no_further_graph_and_take_the_kernel_that_pays_there() -> None:
    spec = Pairwise(pattern=Window(9), normalizer=Sparsemax())
    backend = Counted("aot_eager")
    compiled = torch.compile(caller(spec, "auto"), backend=backend, fullgraph=True, dynamic=True)
    counts = []
    for T, S in ((11, 13), (7, 20), (150, 170)):
        given = inputs(spec, T, S)
        got, expected = differentiated(compiled, given), differentiated(caller(spec, "auto"), given)
        for one, other in zip(got, expected, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
        counts.append(backend.graphs)
    assert counts[0] == counts[1] == counts[2]


def test_an_operator_made_in_the_program_keeps_its_settings() -> None:
    q, k, v, *_ = inputs(Pairwise(), 9, 9)
    sparse = Pairwise(normalizer=Sparsemax())

    def call(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        spec = dataclasses.replace(sparse, pattern=Window(4, causal=True) | Anchors(2))
        return attend(q, k, v, spec)

    compiled = torch.compile(call, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(q, k, v), call(q, k, v))


def test_positions_that_are_given_are_kept() -> None:
    spec = Pairwise(position=Alibi(), pattern=Window(5))
    q, k, v, params, _, _ = inputs(spec, 9, 9)

    def call(position: Tensor) -> Tensor:
        where = Where.of(9, 9, query_position=position, key_position=torch.arange(9))
        return attend(q, k, v, spec, where=where, params=params, kernel="rows")

    position = torch.tensor([3, 1, 4, 0, 5, 8, 2, 6, 7])
    compiled = torch.compile(call, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(position), call(position))


@pytest.mark.slow
@pytest.mark.parametrize(("spec", "kernel"), [CASES[0], CASES[3], CASES[5]], ids=str)
def test_compiled_by_inductor_the_numbers_are_the_same(spec: Any, kernel: str) -> None:
    given = inputs(spec)
    compiled = torch.compile(caller(spec, kernel), fullgraph=True)
    for one, other in zip(differentiated(compiled, given), differentiated(caller(spec, kernel), given), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


def test_dropout_has_one_mask_in_both_directions_and_another_at_each_call() -> None:
    spec = Pairwise(normalizer=Sparsemax())
    q, k, _, params, _, _ = inputs(spec, 9, 9)
    v = torch.eye(9).expand(2, 2, 9, 9).contiguous().requires_grad_()

    @torch.compile(backend="aot_eager", fullgraph=True)
    def call(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return attend(q, k, v, spec, params=params, dropout=0.4, kernel="rows")

    torch.manual_seed(0)
    first = call(q, k, v)
    grad = torch.autograd.grad(first.sum(), v)[0]
    # With v the identity the result is the dropped map, and a value's gradient the sum of its column over two heads.
    columns = first.detach().sum(2).view(2, 2, 2, 9).sum(2)
    torch.testing.assert_close(grad.mean(-1), columns, rtol=1e-5, atol=1e-6)
    assert not torch.equal(call(q, k, v), first)
    torch.manual_seed(0)
    assert torch.equal(call(q, k, v), first)
    whole = attend(q, k, v, spec, kernel="rows")
    torch.testing.assert_close(torch.where(first != 0, whole / 0.6, 0.0), first, rtol=1e-5, atol=1e-6)


def test_what_cannot_be_compiled_is_said() -> None:
    @dataclass(frozen=True)
    class Here(Pattern):
        def allowed(self, i: Tensor, j: Tensor, where: Where) -> Tensor:
            return j != i

    given = inputs(Pairwise())
    with pytest.raises(Exception, match="its type must be importable.*Here.*top of a module"):
        torch.compile(caller(Pairwise(pattern=Here()), "auto"), backend="aot_eager", fullgraph=True)(*given)
    compiled = torch.compile(caller(Pairwise(normalizer=Sparsemax()), "auto"), backend="eager", fullgraph=True)
    first = torch.autograd.grad(compiled(*given).square().sum(), given[0], create_graph=True)[0]
    with pytest.raises(RuntimeError, match="gives no second derivatives"):
        first.sum().backward()
    with pytest.raises(ValueError, match="kernel 'lengths' cannot compute this: the normalizer Sparsemax"):
        torch.compile(caller(Pairwise(normalizer=Sparsemax()), "lengths"), backend="aot_eager")(*given)


@pytest.mark.parametrize(("spec", "kernel"), CASES, ids=str)
@pytest.mark.parametrize("way", ["eager", "compiled"])
def test_under_autocast_the_error_is_that_of_bfloat16(spec: Any, kernel: str, way: str) -> None:
    given = inputs(spec)
    expected = differentiated(caller(spec, "auto"), given)
    call = caller(spec, kernel)
    if way == "compiled":
        call = torch.compile(call, backend="aot_eager", fullgraph=True)

    def under(*args: Any) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            out = call(*args)
            assert out.dtype == torch.bfloat16
            return out.float()

    for one, other in zip(differentiated(under, given), expected, strict=True):
        assert one.dtype == torch.float32
        assert (one - other).norm() < 0.05 * other.norm()


def test_an_exported_program_holds_none_of_our_operators() -> None:
    class Program(torch.nn.Module):
        def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            return attend(q, k, v, Pairwise(position=Alibi(), normalizer=Sparsemax()))

    given = [x.detach() for x in inputs(Pairwise())[:3]]
    tokens = torch.export.Dim("tokens", min=2)
    program = torch.export.export(Program(), tuple(given), dynamic_shapes=(None, {2: tokens}, {2: tokens}))
    assert "attnkit" not in str(program.graph)
    torch.testing.assert_close(program.module()(*given), Program()(*given))


FORKED = """
import os, torch
from attnkit import Pairwise, attend
from attnkit.attention.normalizer import Sparsemax
from attnkit.attention.pattern import Window

CASES = (Pairwise(), "sdpa"), (Pairwise(normalizer=Sparsemax()), "rows"), (Pairwise(pattern=Window(9)), "slabs")

def work():
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, 4, 200, 16).requires_grad_() for _ in range(3))
    told = []
    for spec, kernel in CASES:
        out = attend(q, k, v, spec, kernel=kernel)
        told += [out.detach(), *torch.autograd.grad(out.square().sum(), (q, k, v))]
    return told

torch.set_num_threads(2)
before = work()
child = os.fork()
if child == 0:
    torch.set_num_threads(1)
    same = all(torch.allclose(a, b, rtol=1e-5, atol=1e-5) for a, b in zip(before, work()))
    os._exit(0 if same else 3)
raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_a_forked_child_computes_what_its_parent_did() -> None:
    """With one thread, as a DataLoader gives its workers: torch's own threads do not survive a fork either."""
    done = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
