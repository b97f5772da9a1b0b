"""The methods that are compared. ``METHODS`` maps a name to the place of its class, which is imported at first use."""

from __future__ import annotations

from dataclasses import asdict
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoints, entry_points
from typing import TYPE_CHECKING, Any, cast

from methods.errors import UserError, check, unknown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from methods.backbone import Backbone
    from methods.base import Config, Method

METHODS: dict[str, str] = {
    "full": "methods.full:Full",
    "scratch": "methods.full:Scratch",
    "linear": "methods.linear:Linear",
    "bitfit": "methods.bitfit:BitFit",
    "norm": "methods.norm:Norm",
    "gps": "methods.gps:GPS",
    "adapter": "methods.adapter:Adapter",
    "adaptformer": "methods.adaptformer:AdaptFormer",
    "lora": "methods.lora:LoRA",
    "spt_lora": "methods.spt:SPTLoRA",
    "spt_adapter": "methods.spt:SPTAdapter",
    "adapterx": "methods.adapterx:AdapterX",
    "vpt_shallow": "methods.vpt:VPTShallow",
    "vpt_deep": "methods.vpt:VPTDeep",
    "ssf": "methods.ssf:SSF",
    "mosa": "methods.mosa:MoSA",
    "noah": "methods.noah:NOAH",
    "glora": "methods.glora:GLoRA",
    "fact_tt": "methods.fact:FacTTT",
    "fact_tk": "methods.fact:FacTTK",
    "convpass": "methods.convpass:Convpass",
    "repadapter": "methods.repadapter:RepAdapter",
    "dapt": "methods.dapt:DAPT",
    "idpt": "methods.idpt:IDPT",
    "pointgst": "methods.pointgst:PointGST",
    "pointpeft": "methods.pointpeft:PointPEFT",
    "ppt": "methods.ppt:PPT",
    "pointlora": "methods.pointlora:PointLoRA",
    "gaprompt": "methods.gaprompt:GAPrompt",
    "bi_adaptformer": "methods.binary:BiAdaptFormer",
    "bi_lora": "methods.binary:BiLoRA",
    "rlrr": "methods.rlrr:RLRR",
    "film": "methods.film:FiLM",
    "hta": "methods.hta:HTA",
    "mlae": "methods.mlae:MLAE",
    "apla": "methods.apla:APLA",
    "adapter_plus": "methods.adapter_plus:AdapterPlus",
    "arc": "methods.arc:ARC",
    "dtl": "methods.dtl:DTL",
    "dtl_plus": "methods.dtl:DTLPlus",
    "hydra": "methods.hydra:Hydra",
    "snell": "methods.snell:SNELL",
    "last": "methods.last:LAST",
    "dyt": "methods.dyt:DyT",
    "e2vpt": "methods.e2vpt:E2VPT",
}

ENTRY_POINT_GROUP = "peft_bench.methods"
BRIDGE = "hf:"  # starts the names of Hugging Face PEFT's tuners, which only that package can list


def table() -> dict[str, str]:
    """METHODS and the methods of installed packages. A package cannot replace a built-in name.

    Raises:
        UserError: a package registers a name that another method has.
    """
    joined = dict(METHODS)
    for entry in installed():
        if joined.get(entry.name, entry.value) != entry.value:
            raise UserError(f"method '{entry.name}' of {entry.value} is already {joined[entry.name]}; rename it")
        joined[entry.name] = entry.value
    return joined


@cache
def installed() -> EntryPoints:
    """The methods of installed packages. They are looked up once, because a look-up is slow."""
    return entry_points(group=ENTRY_POINT_GROUP)


def get(name: str) -> type[Method]:
    """The class of a method.

    Raises:
        UserError: unknown name, with the nearest name and all known names; or a package's entry point leads to no
            method. Any other error in the module of a package is raised as it is.
    """
    if name.startswith(BRIDGE):
        from methods import hf

        return hf.get(name)
    check_name(name)
    if name not in METHODS:
        return _of_package(name, table()[name])
    module, _, attribute = METHODS[name].partition(":")
    found: type[Method] = getattr(import_module(module), attribute)
    return found


def _of_package(name: str, place: str) -> type[Method]:
    """The class to which the entry point of an installed package leads."""
    from methods import base

    module, _, path = place.partition(":")
    fault = f"method '{name}' of an installed package cannot be loaded from {place}"
    cure = f"correct its entry point in the group {ENTRY_POINT_GROUP} and install the package again"
    check(all(part.isidentifier() for part in module.split(".")), f"{fault}: {module!r} is no module; {cure}")
    try:
        found: Any = import_module(module)
    except ImportError as error:
        raise UserError(f"{fault}: {error}; {cure}, or correct the import") from error
    for attribute in path.split("."):
        check(hasattr(found, attribute), f"{fault}: {module} has no {path or 'name after a colon'}; {cure}")
        found = getattr(found, attribute)
    fits = isinstance(found, type) and issubclass(found, base.Method)
    check(fits, f"{fault}: {path} is {found!r:.60} and no subclass of methods.base.Method; {cure}")
    return cast("type[Method]", found)


def check_name(name: str) -> None:
    """Refuse an unknown name. No method is imported, so names of Hugging Face PEFT's tuners are not looked up.

    Raises:
        UserError: the message has the nearest name and all known names.
    """
    if not (name in METHODS or name.startswith(BRIDGE) or name in table()):
        raise UserError(unknown("method", name, table()))


def known(name: str) -> bool:
    """Whether this installation has a method of this name."""
    try:
        get(name)
    except UserError:
        return False
    return True


def config(name: str, options: Mapping[str, object]) -> Config:
    """The configuration of a method: the given options, and defaults for the others.

    Raises:
        UserError: unknown method or option, or a value that is not allowed; the message names the method.
    """
    cls = get(name)
    try:
        return cls.Config.parse(options)
    except UserError as error:
        raise UserError(f"{name}: {error}") from None


def defaults(name: str) -> dict[str, Any]:
    """The options of a method with their defaults.

    Raises:
        UserError: unknown method.
    """
    return asdict(config(name, {}))


def build(name: str, backbone: Backbone, options: Config) -> Method:
    """Wire a method onto a backbone. All parameters that the method does not unfreeze are frozen.

    Raises:
        UserError: unknown method, a backbone of another modality or without anything for the method to train, options
            that do not fit the backbone, or a module that the method acts on but that no forward pass calls.
    """
    from methods import calls

    cls, body = get(name), backbone.module
    kind, given = type(body).__name__, backbone.modality
    if given not in cls.modalities:
        allowed = " and ".join(sorted(cls.modalities))
        raise UserError(f"method '{name}' works on {allowed} only; {kind} is of modality {given}")
    method = cls(backbone, options)
    trains = any(p.requires_grad for p in (*method.parameters(), *body.parameters()))
    check(
        trains or cls.trains_head_alone,
        f"method '{name}' finds nothing to train in this {kind}, so it would be 'linear'; choose another method or "
        "backbone",
    )
    calls.check_called(name, method, backbone)
    return method
