"""Reads the specs of companies: every error of every file at once, and everything that is free of them.

A folder of mappings has one folder a company; in it `company.yaml`, `flows.yaml`, and one more file for each mapping.
Links that lead out of the company's folder are errors. Folders whose names begin with `.` or `_`, sub-folders of a
company and files of other kinds are left alone.
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Collection, Iterator, Mapping
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from iw_operators.spec import checks, flows, sharing, twins
from iw_operators.spec.catalogue import Catalogue
from iw_operators.spec.catalogues import Library, library
from iw_operators.spec.document import Document
from iw_operators.spec.errors import Problem, SpecError, listing, suggest
from iw_operators.spec.form import check, describe
from iw_operators.spec.models import Company, FlowSpec, MappingSpec
from iw_operators.spec.resolve import Surroundings, neutral_object, resolve
from iw_operators.spec.resolved import CompanySpec, ResolvedFlow, ResolvedMapping

COMPANY, FLOWS = "company.yaml", "flows.yaml"


def load_all(root: Path, *, using: Library | None = None) -> tuple[dict[str, CompanySpec], list[SpecError]]:
    """Return what is free of errors of all companies below a folder, and all errors, by file and line."""
    if not root.is_dir():
        return {}, [SpecError(root.as_posix(), 1, "", "there is no such folder", "a folder with one folder a company")]
    specs: dict[str, CompanySpec] = {}
    errors: list[SpecError] = []
    everybody = sharing.Companies(root)
    for entry in sorted(root.iterdir()):
        if entry.name.startswith((".", "_")):
            continue
        if entry.is_dir():
            work = _Folder(entry, using or library(), everybody)
            spec = work.load()
            errors += sorted(set(work.errors))
            if spec is not None:
                specs[spec.company.company] = spec
        elif entry.suffix in (".yaml", ".yml"):
            errors.append(SpecError(entry.as_posix(), 1, "", "stands outside a company's folder", "<company>/<file>"))
    return specs, errors


def load_company(path: Path, *, using: Library | None = None) -> tuple[CompanySpec | None, list[SpecError]]:
    """Return what is free of errors in one company's folder, and all errors, by file and line.

    The first is None when the company itself is not right: then nothing of it can run.
    """
    work = _Folder(path, using or library(), sharing.Companies(path.parent))
    spec = work.load()
    return spec, sorted(set(work.errors))


def load_flow(
    root: Path, company: str, flow: str, *, using: Library | None = None
) -> tuple[ResolvedFlow | None, list[SpecError]]:
    """Return one flow, reading its company's folder and resolving its mappings alone.

    Of the other companies only `company.yaml` is looked at, for the connections that they name.

    The first is None when the flow does not exist or cannot run; the errors then say why.
    """
    path = root / company
    work = _Folder(path, using or library(), sharing.Companies(root), only=flow)
    spec = work.load()
    if spec is not None and flow in spec.flows:
        return spec.flows[flow], []
    if not work.errors:
        where = (path / FLOWS).as_posix()
        work.errors.append(SpecError(where, 1, "flows", f"there is no flow {flow!r}"))
    return None, sorted(set(work.errors))


@dataclass(slots=True)
class _MappingFile:
    """One mapping's file. `spec` is None where its form is wrong; `usable` is what is left without the wrong parts."""

    document: Document
    name: str
    spec: MappingSpec | None
    usable: MappingSpec | None
    ignored: Mapping[str, Collection[str]]


@dataclass(slots=True)
class _Flows:
    document: Document | None = None
    specs: dict[str, FlowSpec] = field(default_factory=dict)
    ids: list[str] = field(default_factory=list)  # of all that are written, those with errors too


class _Folder:
    """One company's folder on its way."""

    def __init__(self, path: Path, using: Library, everybody: sharing.Companies, only: str | None = None) -> None:
        self.path, self.library, self.everybody, self.only = path, using, everybody, only
        self.errors: list[SpecError] = []

    def load(self) -> CompanySpec | None:
        """Read and check everything; `errors` has what is wrong afterwards."""
        if not self.path.is_dir():
            self._say("", "there is no such folder", "a company's folder")
            return None
        here = self.path.resolve()
        if not here.is_relative_to(self.path.parent.resolve()):
            self._say("", "is a link that leads out of the mappings' folder", "a folder")
            return None
        names = sorted(entry.name for entry in self.path.iterdir() if entry.is_file() and entry.name[0] != ".")
        for name in [name for name in names if not (self.path / name).resolve().is_relative_to(here)]:
            self._say(name, "is a link that leads out of the company's folder", "a file")
            names.remove(name)
        for name in names:
            if name.endswith(".yml"):
                self._say(name, "ends in .yml", suggestion=name.removesuffix(".yml") + ".yaml")
        company = self._company() if COMPANY in names else None
        if COMPANY not in names:
            self._say(COMPANY, "is missing")
        if FLOWS not in names:
            self._say(FLOWS, "is missing")
        flow_file = self._flow_file() if FLOWS in names else _Flows()
        files = self._mapping_files([n for n in names if n.endswith(".yaml") and n not in (COMPANY, FLOWS)])
        resolved: dict[str, ResolvedMapping] = {}
        made_of: dict[str, twins.Twin] = {}
        if company is not None:
            usable = {name: file.usable for name, file in files.items() if file.usable is not None}
            made_of = twins.twins(usable, company[1], company[2], flow_file.ids)
            resolved = self._mappings(company, files, self._wanted(flow_file.specs, made_of))
        made = self._flows(company[0] if company else None, flow_file, files, resolved)
        if company is None:
            return None
        if self.only is not None:
            made_of = {name: twin for name, twin in made_of.items() if name == self.only}
        made |= dict(self._twins(company[0], made_of.values(), files, resolved))
        return CompanySpec(company=company[0], mappings=resolved, flows=made)

    def _say(self, name: str, message: str, expected: str = "", suggestion: str = "") -> None:
        file = (self.path / name).as_posix() if name else self.path.as_posix()
        self.errors.append(SpecError(file, 1, "", message, expected, suggestion))

    def _add(self, document: Document, problems: Iterator[Problem] | Collection[Problem]) -> bool:
        before = len(self.errors)
        self.errors += [document.error(problem) for problem in problems]
        return len(self.errors) > before

    def _read(self, name: str) -> Document:
        document = Document.read(self.path / name)
        self.errors += document.errors
        return document

    def _company(self) -> tuple[Company, Catalogue, Catalogue] | None:
        document = self._read(COMPANY)
        if document.errors:
            return None
        company, problems = check(Company, document.data)
        if company is None:
            self._add(document, problems)
            return None
        bad = self._add(document, _company_problems(company, self.path.name))
        bad = bad or self._add(document, sharing.problems(company, self.everybody))
        found: list[Catalogue] = []
        for role, endpoint in (("crm", company.crm), ("books", company.books)):
            known = self.library.systems()
            if endpoint.system not in known:
                hint = suggest(endpoint.system, known)
                message = f"there is no system {endpoint.system!r}"
                self._add(document, [Problem((role, "system"), message, f"one of {listing(known)}", hint)])
                continue
            catalogue, errors = self.library.catalogue(endpoint.system)
            self.errors += errors
            if catalogue is not None and catalogue.role != role:
                message = f"{catalogue.label} is not a {role} system, its role is {catalogue.role}"
                self._add(document, [Problem((role, "system"), message)])
            elif catalogue is not None:
                found.append(catalogue)
        return None if bad or len(found) < 2 else (company, found[0], found[1])

    def _flow_file(self) -> _Flows:
        document = self._read(FLOWS)
        result = _Flows(document)
        if document.errors and document.data is None:
            return result
        data = document.data
        if not isinstance(data, dict) or not isinstance(data.get("flows"), dict):
            group = data.get("flows") if isinstance(data, dict) else data
            self._add(document, [Problem((), f"is {describe(group)}", "`flows:` with a flow's id and its keys below")])
            return result
        others = [key for key in data if key != "flows"]
        self._add(document, [Problem((key,), f"unknown key {key!r}", "flows") for key in others])
        result.ids = [str(name) for name in data["flows"]]
        for name, group in data["flows"].items():
            spec, problems = check(FlowSpec, group, ("flows", name))
            bad = self._add(document, [*flows.name_problems(name), *problems])
            twice = any(error.path == f"flows.{name}" for error in document.errors)
            if spec is not None and not bad and not twice:
                result.specs[name] = spec
        return result

    def _wanted(self, specs: Mapping[str, FlowSpec], made_of: Mapping[str, twins.Twin]) -> Collection[str] | None:
        if self.only is None:
            return None
        if self.only in made_of:
            return (made_of[self.only].mapping,)
        return specs[self.only].mappings if self.only in specs else ()

    def _mapping_files(self, names: Collection[str]) -> dict[str, _MappingFile]:
        files: dict[str, _MappingFile] = {}
        for name in names:
            document = self._read(name)
            spec, problems = check(MappingSpec, document.data) if not document.errors else (None, [])
            self._add(document, problems)
            usable, ignored = (spec, {}) if spec else _salvage(document.data, problems)
            said = document.data.get("mapping") if isinstance(document.data, dict) else None
            key = said if isinstance(said, str) else name.removesuffix(".yaml")
            if key in files:
                first = Path(files[key].document.file).name
                self._add(document, [Problem(("mapping",), f"the mapping {key!r} stands in {first} already")])
                files[key].spec = None
                continue
            files[key] = _MappingFile(document, key, spec, usable, ignored)
        return files

    def _mappings(
        self,
        company: tuple[Company, Catalogue, Catalogue],
        files: Mapping[str, _MappingFile],
        wanted: Collection[str] | None,
    ) -> dict[str, ResolvedMapping]:
        broken: set[str] = set()
        usable = {name: file.usable for name, file in files.items() if file.usable is not None}
        for name, problem in checks.overlaps(usable):
            broken.add(name)
            self._add(files[name].document, [problem])
        neutral = {name: neutral_object(spec, company[1], company[2]) for name, spec in usable.items()}
        around = Surroundings(
            *company,
            neutral=self.library.neutral,
            neutral_of={name: about for name, about in neutral.items() if about is not None},
            unclear=len(usable) < len(files) or None in neutral.values(),
        )
        resolved: dict[str, ResolvedMapping] = {}
        todo = [name for name in usable if wanted is None or name in wanted]
        for name in todo:  # grows by the mappings that references go through, where not all are wanted anyway
            mapping, problems = resolve(usable[name], around, files[name].ignored)
            self._add(files[name].document, problems)
            if mapping is not None and files[name].spec is not None and name not in broken:
                resolved[name] = mapping
                todo += [needed for needed in mapping.depends if needed not in todo]
        depends = {name: mapping.depends for name, mapping in resolved.items()}
        while circle := checks.cycle(depends):
            for name in circle[:-1]:
                message = f"mappings refer to one another in a circle: {' -> '.join(circle)}"
                self._add(files[name].document, [Problem(("mapping",), message, "one of these references skipped")])
                del resolved[name], depends[name]
        return resolved

    def _flows(
        self,
        company: Company | None,
        flow_file: _Flows,
        files: Mapping[str, _MappingFile],
        resolved: Mapping[str, ResolvedMapping],
    ) -> dict[str, ResolvedFlow]:
        made: dict[str, ResolvedFlow] = {}
        document = flow_file.document
        if document is None:
            return made
        specs = {name: file.usable for name, file in files.items() if file.usable is not None}
        depends = {name: mapping.depends for name, mapping in resolved.items()}
        for name, spec in flow_file.specs.items():
            bad = self._add(document, flows.problems(name, spec, specs, files))
            bad |= self._add(document, flows.order_problems(name, spec, depends))
            way = flows.direction(spec, specs)
            complete = all(mapping in resolved for mapping in spec.mappings)
            if company is not None and not bad and complete and way is not None:
                made[name] = flows.resolve(company, name, spec, way, resolved, document.file)
        return made

    def _twins(
        self,
        company: Company,
        made_of: Collection[twins.Twin],
        files: Mapping[str, _MappingFile],
        resolved: Mapping[str, ResolvedMapping],
    ) -> Iterator[tuple[str, ResolvedFlow]]:
        for twin in made_of:
            if twin.mapping in resolved:
                file = files[twin.mapping].document.file
                kind, way = twin.kind, twin.direction
                flow = flows.resolve(company, twin.flow, twin.spec, way, resolved, file, generated=kind)
                yield twin.flow, flow


def _company_problems(company: Company, folder: str) -> Iterator[Problem]:
    if company.company != folder:
        yield Problem(("company",), f"is {company.company!r}", f"the folder's name, {folder!r}")
    try:
        zoneinfo.ZoneInfo(company.time_zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        known = zoneinfo.available_timezones()
        message, hint = f"there is no time zone {company.time_zone!r}", suggest(company.time_zone, known)
        yield Problem(("time_zone",), message, "a name such as Europe/Berlin", hint)
    sleep = company.sleep_window
    if sleep is not None and sleep.from_ == sleep.to:
        yield Problem(("sleep_window",), "begins when it ends", "two different times, or no sleep_window")
    for at, time in (("from", sleep.from_), ("to", sleep.to)) if sleep is not None else ():
        if time.tzinfo is not None:
            yield Problem(("sleep_window", at), "has a zone of its own", "a time of day in the company's time zone")


def _salvage(data: Any, problems: Collection[Problem]) -> tuple[MappingSpec | None, Mapping[str, Collection[str]]]:
    """Return what is left of a mapping without the fields that are wrong in form, and with keys as they were meant.

    It is looked at for further errors and never run.
    """
    if not isinstance(data, dict) or not problems:
        return None, {}
    ignored: dict[str, set[str]] = {"fields": set(), "lines": set()}
    rest = {key: copy(value) if isinstance(value, dict) else value for key, value in data.items()}
    for problem in problems:
        path = problem.path
        if len(path) >= 2 and path[0] in ignored and isinstance(rest.get(str(path[0])), dict):
            ignored[str(path[0])].add(str(path[1]))
            rest[str(path[0])].pop(path[1], None)
        elif len(path) == 1 and problem.message.startswith("unknown key"):
            value = rest.pop(str(path[0]), None)
            if problem.suggestion and problem.suggestion not in rest:
                rest[problem.suggestion] = value
        else:
            return None, {}
    spec, _ = check(MappingSpec, rest)
    return spec, ignored
