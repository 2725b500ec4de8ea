"""Two kinds of import rule that import-linter has not: layers of role files, wherever they lie, and pure modules.

Both follow imports through the modules of a service that play no role of their own, so that a detour through a new
file does not hide a dependency, and neither names a module: a new capability package is covered when it appears.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output

Chain = tuple[str, ...]


class RoleLayers(Contract):
    """A module may import its own layer's role and the layers below. `|` keeps roles of a layer apart, `:` does not."""

    type_name = "roles"
    services = fields.ListField(subfield=fields.StringField())
    layers = fields.ListField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """This function finds every import that points upwards or sideways."""
        layers = [_roles_in(line) for line in _texts(self.layers)]
        apart = [set(_roles_in(line)) for line in _texts(self.layers) if "|" in line]
        depth = {role: index for index, roles in enumerate(layers) for role in roles}

        def allowed(role: str, other: str) -> bool:
            beside = role != other and any({role, other} <= roles for roles in apart)
            return depth[role] <= depth[other] and not beside

        chains = [
            chain
            for service in _texts(self.services)
            for module in sorted(_modules_of(graph, service))
            for chain in _reached(graph, module, service, set(depth))
            if not _is_allowed(chain, set(depth), allowed)
        ]
        return ContractCheck(kept=not chains, metadata={"chains": chains})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """This function prints one line for each import that is not allowed."""
        for chain in check.metadata["chains"]:
            output.print_error(f"{' -> '.join(chain)}: the role of the last one stands above or beside the first one's")


class PureModules(Contract):
    """Modules of one role import the standard library alone, without its impure parts, however far one follows."""

    type_name = "pure"
    services = fields.ListField(subfield=fields.StringField())
    role = fields.StringField()
    impure = fields.SetField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """This function finds everything impure that a module of the role reaches inside its service."""
        role, impure = str(self.role), set(_texts(self.impure))
        chains: list[Chain] = []
        for service in _texts(self.services):
            for module in sorted(_modules_of(graph, service)):
                if role in module.split("."):
                    chains += [
                        chain
                        for chain in _reached(graph, module, service, set())
                        if not _is_pure(chain[-1], service, impure)
                    ]
        return ContractCheck(kept=not chains, metadata={"chains": chains})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """This function prints one line for each import that is not allowed."""
        for chain in check.metadata["chains"]:
            output.print_error(f"{' -> '.join(chain)}: pass what it gives as an argument instead")


def _texts(field: Any) -> list[str]:
    return [str(each) for each in field]


def _roles_in(line: str) -> list[str]:
    return [role.strip() for role in line.replace("|", ":").split(":")]


def _modules_of(graph: ImportGraph, service: str) -> set[str]:
    return {service, *graph.find_descendants(service)}


def _role_of(module: str, roles: set[str]) -> str | None:
    """The first part of a module's path that is a role: payments.providers.stripe plays the role providers."""
    return next((part for part in module.split(".")[1:] if part in roles), None)


def _is_allowed(chain: Chain, roles: set[str], allowed: Callable[[str, str], bool]) -> bool:
    role, other = _role_of(chain[0], roles), _role_of(chain[-1], roles)
    return role is None or other is None or allowed(role, other)


def _is_pure(module: str, service: str, impure: set[str]) -> bool:
    package = module.split(".")[0]
    return package == service or (package in sys.stdlib_module_names and package not in impure)


def _reached(graph: ImportGraph, start: str, service: str, roles: set[str]) -> Iterator[Chain]:
    """Every module that `start` reaches, by the shortest chain; a chain ends where a role or another package begins."""
    seen: set[str] = {start}
    waiting: list[Chain] = [(start,)]
    while waiting:
        chain = waiting.pop(0)
        for module in sorted(graph.find_modules_directly_imported_by(chain[-1]) - seen):
            seen.add(module)
            yield (*chain, module)
            if module.split(".")[0] == service and _role_of(module, roles) is None:
                waiting.append((*chain, module))
