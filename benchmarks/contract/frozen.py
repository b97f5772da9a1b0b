"""Promises about the frozen backbone and the method's hooks on it. Each function has the name of its promise."""

import torch

from benchmarks.contract import checks
from benchmarks.contract.case import Case
from benchmarks.contract.checks import expect, expect_same


def leaves_the_backbone_as_it_is(case: Case) -> None:
    same = checks.same_state(case.wire().backbone.state_dict(), case.backbone().state_dict())
    expect(same, "wiring changes names or values of the backbone's weights")


def starts_as_the_frozen_backbone(case: Case) -> None:
    with torch.no_grad():
        equal = torch.equal(case.wire().pooled(case.inputs), case.backbone()(case.inputs))
    promised = case.cls.identity_at_start
    # options may take away what makes another start
    found = "equals" if equal else "is not"
    said = f"identity_at_start is {promised}, but the untrained output {found} the frozen one"
    expect(equal == promised or (equal and bool(case.options)), said)


def merges_as_its_class_says(case: Case) -> None:
    model = case.trained()
    wired = checks.hooked(model)
    checks.check_merge(model, case.inputs)
    kept, promised = checks.hooked(model), case.cls.merges
    happened = {"yes": not kept and model.method.folded, "no": kept == wired, "in part": set() < kept < wired}
    expect(happened[promised], f"merges is '{promised}', but of {len(wired)} modules with hooks {len(kept)} keep them")
    expect(model.method.folded == (promised == "yes"), f"merges is '{promised}', but folded is {model.method.folded}")


def leaves_no_hook_if_merged_and_detached(case: Case) -> None:
    model = case.trained()
    model.method.merge()
    model.method.detach()
    expect_same(checks.hooked(model), [], "there are hooks")


def gives_the_backbone_back(case: Case) -> None:
    checks.check_detach(case.trained(), case.inputs, case.backbone())


def is_independent_of_its_copy(case: Case) -> None:
    checks.check_deepcopy(case.trained(), case.inputs)


def compiles_to_one_graph(case: Case) -> None:
    checks.check_compiled(case.trained(layers=2), case.inputs)  # more layers are slow
