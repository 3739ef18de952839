"""Reads the specs of companies: every error of every file at once, and everything that is free of them.

A folder of mappings has one folder a company; in it `company.yaml`, `flows.yaml`, and one more file for each mapping.
Links that lead out of the company's folder are errors. Folders whose names begin with `.` or `_`, sub-folders of a
company and files of other kinds are left alone.
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from iw_operators.spec import checks, flows, salvage, sharing, twins
from iw_operators.spec.catalogue import Catalogue
from iw_operators.spec.catalogues import Library, library
from iw_operators.spec.document import Document
from iw_operators.spec.errors import Problem, SpecError, listing, suggest
from iw_operators.spec.form import describe
from iw_operators.spec.models import Company, FlowSpec, MappingSpec
from iw_operators.spec.resolve import Surroundings, neutral_object, resolve
from iw_operators.spec.resolved import CompanySpec, ResolvedFlow, ResolvedMapping

COMPANY, FLOWS = "company.yaml", "flows.yaml"
_OF_OVERLAPS = ("direction", "to_books", "to_crm")


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
    """One mapping's file: what of it can be checked, and whether it can run, as far as its form goes."""

    document: Document
    name: str
    rest: salvage.Rest[MappingSpec]
    runs: bool


@dataclass(slots=True)
class _Flows:
    document: Document | None = None
    rests: dict[str, salvage.Rest[FlowSpec]] = field(default_factory=dict)
    runs: set[str] = field(default_factory=set)
    ids: list[str] | None = None  # of all that are written, those with errors too; None where they cannot be read


@dataclass(frozen=True, slots=True)
class _Company:
    """A company whose systems are known. One that cannot run is there for its mappings and flows to be checked."""

    company: Company
    crm: Catalogue
    books: Catalogue
    runs: bool


class _Folder:
    """One company's folder on its way."""

    def __init__(self, path: Path, using: Library, everybody: sharing.Companies, only: str | None = None) -> None:
        self.path, self.library, self.everybody, self.only = path, using, everybody, only
        self.errors: list[SpecError] = []
        self.nameless = False  # there may be mappings whose names could not be read

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
        told: set[str] = set()
        for name in [name for name in names if not (self.path / name).resolve().is_relative_to(here)]:
            self._say(name, "is a link that leads out of the company's folder", "a file")
            names.remove(name)
            told.add(name)
        for name in names:
            if name.endswith(".yml"):
                self._say(name, "ends in .yml", suggestion=name.removesuffix(".yml") + ".yaml")
                told.add(name.removesuffix(".yml") + ".yaml")
        self.nameless = bool(told - {COMPANY, FLOWS})
        company = self._company() if COMPANY in names else None
        for name in (COMPANY, FLOWS):
            if name not in names and name not in told:
                self._say(name, "is missing")
        flow_file = self._flow_file() if FLOWS in names else _Flows()
        files = self._mapping_files([n for n in names if n.endswith(".yaml") and n not in (COMPANY, FLOWS)])
        resolved: dict[str, ResolvedMapping] = {}
        made_of: dict[str, twins.Twin] = {}
        if company is not None:
            usable = {name: file.rest.spec for name, file in files.items() if file.rest.spec is not None}
            if flow_file.ids is not None:  # else one that is made would take the place of one that permits less
                made_of = twins.twins(usable, company.crm, company.books, flow_file.ids)
            resolved = self._mappings(company, files, self._wanted(flow_file, made_of))
        made = self._flows(company.company if company else None, flow_file, files, resolved)
        if company is None or not company.runs:
            return None
        if self.only is not None:
            made_of = {name: twin for name, twin in made_of.items() if name == self.only}
        made |= dict(self._twins(company.company, made_of.values(), files, resolved))
        return CompanySpec(company=company.company, mappings=resolved, flows=made)

    def _say(self, name: str, message: str, expected: str = "", suggestion: str = "") -> None:
        file = (self.path / name).as_posix() if name else self.path.as_posix()
        self.errors.append(SpecError(file, 1, "", message, expected, suggestion))

    def _add(self, document: Document, problems: Iterable[Problem]) -> bool:
        before = len(self.errors)
        self.errors += [document.error(problem) for problem in problems]
        return len(self.errors) > before

    def _read(self, name: str) -> Document:
        document = Document.read(self.path / name)
        self.errors += document.errors
        return document

    def _company(self) -> _Company | None:
        document = self._read(COMPANY)
        company, problems = salvage.form(Company, document, document.data)
        rest = salvage.Rest(company) if company else salvage.company(document, problems)
        bad = self._add(document, problems) or bool(document.errors)
        if (company := rest.spec) is None:
            return None
        bad |= self._add(document, rest.real(_company_problems(company, self.path.name)))
        meant = company.model_copy(update={"company": self.path.name})
        shared = sharing.problems(meant, self.everybody)
        bad |= self._add(document, [each for each in shared if not rest.lacks(str(each.path[0]))])
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
        return _Company(company, found[0], found[1], runs=not bad) if len(found) == 2 else None

    def _flow_file(self) -> _Flows:
        document = self._read(FLOWS)
        result = _Flows(document)
        if document.errors and document.data is None:
            return result
        data = document.data
        if not isinstance(data, dict) or not isinstance(data.get("flows"), dict):
            group = data.get("flows") if isinstance(data, dict) else data
            problem = Problem((), f"is {describe(group)}", "`flows:` with a flow's id and its keys below")
            self._add(document, [] if salvage.within(("flows",), document.unclear) else [problem])
            return result
        others = [key for key in data if key != "flows"]
        self._add(document, [Problem((key,), f"unknown key {key!r}", "flows") for key in others])
        if ("flows",) not in document.flawed:
            result.ids = [str(name) for name in data["flows"]]
        for name, group in data["flows"].items():
            at = ("flows", name)
            spec, problems = salvage.form(FlowSpec, document, group, at)
            bad = self._add(document, [*flows.name_problems(name), *problems])
            result.rests[name] = salvage.Rest(spec, at=at) if spec else salvage.flow(document, group, at, problems)
            if spec is not None and not bad and not any(salvage.within(path, [at]) for path in document.flawed):
                result.runs.add(name)
        return result

    def _wanted(self, flow_file: _Flows, made_of: Mapping[str, twins.Twin]) -> Collection[str] | None:
        if self.only is None:
            return None
        if self.only in made_of:
            return (made_of[self.only].mapping,)
        rest = flow_file.rests.get(self.only)
        return rest.spec.mappings if rest and rest.spec else ()

    def _mapping_files(self, names: Collection[str]) -> dict[str, _MappingFile]:
        files: dict[str, _MappingFile] = {}
        for name in names:
            document = self._read(name)
            spec, problems = salvage.form(MappingSpec, document, document.data)
            self._add(document, problems)
            rest = salvage.Rest(spec) if spec else salvage.mapping(document, problems)
            said = salvage.name(document)
            self.nameless |= said is None
            key = name if said is None else said
            if key in files:
                first = Path(files[key].document.file).name
                self._add(document, [Problem(("mapping",), f"the mapping {key!r} stands in {first} already")])
                files[key].runs = False
                continue
            files[key] = _MappingFile(document, key, rest, runs=spec is not None and not document.errors)
        return files

    def _mappings(
        self,
        company: _Company,
        files: Mapping[str, _MappingFile],
        wanted: Collection[str] | None,
    ) -> dict[str, ResolvedMapping]:
        broken: set[str] = set()
        usable = {name: file.rest.spec for name, file in files.items() if file.rest.spec is not None}
        known = {name: spec for name, spec in usable.items() if not files[name].rest.lacks(*_OF_OVERLAPS)}
        for name, problem in checks.overlaps(known):
            broken.add(name)
            self._add(files[name].document, [problem])
        neutral = {name: neutral_object(spec, company.crm, company.books) for name, spec in usable.items()}
        around = Surroundings(
            company.company,
            company.crm,
            company.books,
            neutral=self.library.neutral,
            neutral_of={name: about for name, about in neutral.items() if about is not None},
            unclear=self.nameless or len(usable) < len(files) or None in neutral.values(),
        )
        resolved: dict[str, ResolvedMapping] = {}
        todo = [name for name in usable if wanted is None or name in wanted]
        for name in todo:  # grows by the mappings that references go through, where not all are wanted anyway
            rest = files[name].rest
            tried = [resolve(spec, around, rest.ignored()) for spec in salvage.directions(rest)]
            mapping, problems = tried[0]
            problems = [each for each in problems if all(each in others for _, others in tried)]
            self._add(files[name].document, rest.real(problems))
            if mapping is not None and files[name].runs and name not in broken:
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
        rests = {name: file.rest for name, file in files.items()}
        specs = {name: rest.spec for name, rest in rests.items() if rest.spec and not rest.lacks("direction")}
        depends = {name: mapping.depends for name, mapping in resolved.items()}
        for name, rest in flow_file.rests.items():
            if (spec := rest.spec) is None:
                continue
            known = {} if rest.lacks("direction") else specs
            present = {*files, *spec.mappings} if self.nameless else files
            found = (*flows.problems(name, spec, known, present), *flows.order_problems(name, spec, depends))
            bad = self._add(document, rest.real(found))
            way = flows.direction(spec, specs)
            complete = all(mapping in resolved for mapping in spec.mappings)
            if company is not None and name in flow_file.runs and not bad and complete and way is not None:
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
