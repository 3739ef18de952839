"""An OData client of others against the sandbox: python-odata reflects, reads and writes; the metadata is valid XML."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from xml.etree import ElementTree

import pytest
from odata import ODataService

from sandbox.creatio.model import load

pytestmark = [pytest.mark.sandbox, pytest.mark.feature("S1")]

EDM = "{http://docs.oasis-open.org/odata/ns/edm}"


@pytest.fixture
def service(site: Any) -> ODataService:
    """The client, with entities made from $metadata."""
    return ODataService(f"{site.odata}/", session=site.session, reflect_entities=True, quiet_progress=True)


def test_metadata_describes_every_object(site: Any) -> None:
    """$metadata is EDMX 4.0: types with key, properties and navigations, and a set for each."""
    response = site.get("$metadata")
    assert response.headers["Content-Type"] == "application/xml"
    document = ElementTree.fromstring(response.content)  # noqa: S314  our own sandbox's answer
    assert document.attrib["Version"] == "4.0"
    types = {element.attrib["Name"]: element for element in document.iter(f"{EDM}EntityType")}
    assert set(types) == set(load())
    account = types["Account"]
    assert [key.attrib["Name"] for key in account.iter(f"{EDM}PropertyRef")] == ["Id"]
    properties = {element.attrib["Name"]: element.attrib["Type"] for element in account.iter(f"{EDM}Property")}
    assert properties["PrimaryContactId"] == "Edm.Guid"
    assert properties["ModifiedOn"] == "Edm.DateTimeOffset"
    assert properties["UsrQBBalance"] == "Edm.Decimal"
    navigations = {
        element.attrib["Name"]: element.attrib["Type"] for element in account.iter(f"{EDM}NavigationProperty")
    }
    assert navigations["PrimaryContact"] == "Terrasoft.Configuration.OData.Contact"
    sets = {element.attrib["Name"]: element.attrib["EntityType"] for element in document.iter(f"{EDM}EntitySet")}
    assert sets == {name: entity.type_name for name, entity in load().items()}
    for element in types.values():  # a property may not have its type's name, and names are unique in a type
        names = [child.attrib["Name"] for child in element if "Name" in child.attrib]
        assert len(names) == len(set(names))
        assert element.attrib["Name"] not in names
    assert site.get("Account/$metadata").content == response.content


def test_python_odata_creates_reads_changes_and_deletes(service: ODataService) -> None:
    """A whole life of a record through the client's own objects."""
    account = service.entities["Account"]()
    account.Name = "O'Brien & 日本"
    account.UsrQBBalance = Decimal("12.5")
    service.save(account)
    contact = service.entities["Contact"]()
    contact.Name = "Pat"
    contact.AccountId = account.Id
    service.save(contact)
    contact.JobTitle = "Owner"
    service.save(contact)
    contacts = service.entities["Contact"]
    query = service.query(contacts)
    found = query.filter(contacts.Account.Name == "O'Brien & 日本").one()
    assert (found.JobTitle, found.Account.UsrQBBalance) == ("Owner", Decimal("12.5"))
    service.delete(contact)
    service.delete(account)
    assert service.query(service.entities["Account"]).all() == []


def test_python_odata_queries(service: ODataService) -> None:
    """Filters, order, paging, count and expansion as the client writes them."""
    accounts = service.entities["Account"]
    for number in range(12):
        account = accounts()
        account.Name = f"Name {number:02d}"
        account.UsrQBBalance = Decimal(number)
        service.save(account)
    query = service.query(accounts)
    assert query.filter(accounts.UsrQBBalance >= Decimal("9")).count() == 3
    some = query.filter((accounts.Name.startswith("Name 0")) & (accounts.UsrQBBalance > Decimal(3)))
    names = [row.Name for row in some.order_by(accounts.Name.desc()).limit(2).offset(1)]
    assert names == ["Name 08", "Name 07"]
    assert query.filter(accounts.Name.lacks("0")).count() == 1
    expanded = query.expand(accounts.CreatedBy).limit(1).all()[0]
    assert expanded.CreatedBy.Name == "Supervisor"
    assert query.get(expanded.Id).Name == expanded.Name
