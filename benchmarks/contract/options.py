"""Promises about the options of a method. Each function has the name of its promise."""

import dataclasses

import methods
from benchmarks import backbones
from benchmarks.contract import checks
from benchmarks.contract.case import Case
from benchmarks.contract.checks import expect
from methods.errors import UserError


def builds_with_what_it_suggests(case: Case) -> None:
    for config in checks.suggested(case.method, 5):
        fitting = methods.config(case.method, {**dataclasses.asdict(config), **case.options})
        methods.build(case.method, backbones.describe(case.backbone()), fitting)


def has_options_that_survive_json(case: Case) -> None:
    checks.check_json(case.method)


def has_bounds_for_every_number(case: Case) -> None:
    for option in dataclasses.fields(case.cls.Config):
        if isinstance(option.default, int | float) and not isinstance(option.default, bool):
            try:
                methods.config(case.method, {option.name: -1})
            except UserError as error:
                told = str(error).startswith(f"{case.method}: {option.name}=-1")
                expect(told, f"{option.name}=-1 is refused with other words: {error}")
            else:
                expect(False, f"{option.name}=-1 is not refused")
