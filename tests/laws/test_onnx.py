"""Every catalogue line as ONNX gives the same numbers in onnxruntime, at other sizes and on rows that see nothing.

Each line is exported alone, on the kernel that the plan chooses and on the reference, in the slow part of the tests;
the others export one graph that holds a line for each way in which lines differ.
"""

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn
from torch.export import Dim

from attnkit.attention.catalogue import CATALOGUE
from attnkit.attention.normalizer import TopK
from attnkit.attention.pairwise import Pairwise
from attnkit.attention.where import Where
from attnkit.errors import FailedError
from attnkit.kernels import Situation, plan
from attnkit.ship.onnx_graph import OPSET, to_onnx
from tests.laws.exported import NAMES, OTHERS, TRACED, Mixed, inputs, open_sizes

# A mask of keys, of pairs, of documents; a bias; a sort, a stable sort, running sums; a map that is never built;
# operators in operators; rows of the layer below.
DIFFERENT = (
    "vaswani",
    "longformer",
    "documents",
    "gpt-oss",
    "t5",
    "sparsemax",
    "top-k",
    "causal-linear",
    "linformer",
    "mixture",
    "axial",
    "recurrent",
)


class Beside(nn.Module):
    """Several modules on the same inputs."""

    def __init__(self, modules: list[nn.Module]) -> None:
        super().__init__()
        self.each = nn.ModuleList(modules)

    def forward(self, q: Tensor, k: Tensor, v: Tensor, keep: Tensor, document: Tensor) -> tuple[Tensor, ...]:
        return tuple(one(q, k, v, keep, document) for one in self.each)


def exported(module: nn.Module) -> onnxruntime.InferenceSession:
    model = to_onnx(module, inputs(*TRACED), open_sizes(), input_names=NAMES)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def answers(session: onnxruntime.InferenceSession, given: tuple[Tensor, ...]) -> list[np.ndarray]:
    return session.run(None, {name: x.numpy() for name, x in zip(NAMES, given, strict=True)})


def check(session: onnxruntime.InferenceSession, modules: dict[str, nn.Module]) -> None:
    for sizes in [TRACED, *OTHERS]:
        given = inputs(*sizes)
        for (name, module), found in zip(modules.items(), answers(session, given), strict=True):
            with torch.no_grad():
                expected = module(*given).numpy()
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5, err_msg=f"{name} at B, T, S = {sizes}")
            if sizes[0] > 1:
                assert (found[0] == 0).all(), f"{name} at {sizes}: a row that sees nothing is not zero"


def kernel_of(name: str) -> str:
    q, k, v, keep, document = inputs(*TRACED)
    where = Where.of(5, 7, keep=keep, query_document=torch.zeros(3, 5).long(), key_document=document)
    return plan(CATALOGUE[name].operator, Situation.of(q, k, v, where, intent="export")).kernel.name


def test_lines_that_differ_answer_as_before_in_one_graph():
    modules = {name: Mixed(CATALOGUE[name].operator, "auto").eval() for name in DIFFERENT}
    check(exported(Beside([*modules.values()])), modules)


def test_they_stand_for_every_kernel_of_an_export():
    assert {kernel_of(name) for name in DIFFERENT} == {kernel_of(name) for name in CATALOGUE}


@pytest.mark.slow
@pytest.mark.parametrize("kernel", ["auto", "reference"])
@pytest.mark.parametrize("name", CATALOGUE)
def test_each_line_answers_as_before(name, kernel):
    if kernel == "reference" and kernel_of(name) == "reference":
        pytest.skip("the plan chooses the reference")
    module = Mixed(CATALOGUE[name].operator, kernel).eval()
    check(exported(module), {name: module})


def test_of_equal_scores_the_earlier_keys_are_kept():
    """PyTorch's stable sort has no form in the exporter of PyTorch itself."""
    module = Mixed(Pairwise(normalizer=TopK(3)), "auto").eval()
    q, k, v, keep, document = inputs(2, 4, 40)
    given = (torch.zeros_like(q), k, v, torch.ones_like(keep), document)
    found = answers(exported(module), given)[0]
    np.testing.assert_allclose(found[:, :, 0], v[:, :, :3].mean(2).numpy(), rtol=1e-5, atol=1e-6)


def test_the_same_bytes_each_time_and_no_path_in_them():
    module = Mixed(CATALOGUE["causal"].operator, "auto").eval()
    first, second = (
        to_onnx(module, inputs(*TRACED), open_sizes(), input_names=NAMES).SerializeToString(deterministic=True)
        for _ in range(2)
    )
    assert first == second
    assert b".py" not in first


class Eigenvalues(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.linalg.eigh(x).eigenvalues


class OfThree(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + torch.ones(3, 2)


def test_what_has_no_onnx_form_is_named():
    with pytest.raises(FailedError, match=r"no ONNX operator stands for aten::_linalg_eigh.default; ship it with --to"):
        to_onnx(Eigenvalues(), (torch.eye(2).expand(3, 2, 2),), ({0: Dim("batch", min=1)},))


def test_an_axis_that_cannot_stay_open_is_named():
    with pytest.raises(FailedError, match="axis 0 of 'x' became the constant 3"):
        to_onnx(OfThree(), (torch.ones(3, 2),), ({0: Dim.AUTO},))
    with pytest.raises(FailedError, match="cannot be exported: .*batch"):
        to_onnx(OfThree(), (torch.ones(3, 2),), ({0: Dim("batch", min=1)},))


def test_training_goes_on_as_it_was():
    module = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5)).train()
    model = to_onnx(module, (torch.ones(3, 2),), ({0: Dim("batch", min=1)},))
    assert module.training
    assert not any(node.op_type == "Dropout" for node in model.graph.node)
    assert model.opset_import[0].version == OPSET
