"""Reading over the wire: every query option, keys, properties, empty values, limits and refusals."""

from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal
from typing import Any

import pytest

from sandbox.creatio.model import load
from sandbox.seed import acme

pytestmark = [pytest.mark.sandbox, pytest.mark.feature("S1")]

ZERO = "00000000-0000-0000-0000-000000000000"


def test_every_object_of_the_reference_is_served(acme_site: Any) -> None:
    """Each entity set of the service document answers, and has the columns that the reference lists."""
    listed = [entry["name"] for entry in acme_site.get("").json()["value"]]
    assert listed == sorted(load())
    columns = {
        "Account": "Id Name Code TypeId PrimaryContactId ParentId OwnerId Phone Fax Web Address CityId RegionId "
        "CountryId Zip PriceListId CreatedOn ModifiedOn UsrQBId UsrRegion UsrPaymentTerms UsrCurrencyId UsrActive "
        "UsrQBBalance",
        "Contact": "Id Name GivenName MiddleName Surname AccountId TypeId Email Phone MobilePhone JobTitle",
        "Opportunity": "Id Title StageId AccountId ContactId OwnerId Amount Budget DueDate UsrQBId UsrMemo "
        "UsrExchangeRate",
        "OpportunityProductInterest": "OpportunityId ProductId Quantity Price Amount",
        "Order": "Number Date AccountId ContactId StatusId PaymentStatusId CurrencyId CurrencyRate Amount "
        "PaymentAmount PrimaryAmount PrimaryPaymentAmount OpportunityId",
        "OrderProduct": "Name ProductId UnitId TaxId Quantity Price Amount DiscountPercent DiscountAmount TaxAmount "
        "TotalAmount PrimaryTotalAmount CurrencyId",
        "InvoiceProduct": "Name ProductId UnitId TaxId Quantity Price Amount TotalAmount PrimaryTotalAmount",
        "Invoice": "Number StartDate DueDate PaymentStatusId CurrencyId CurrencyRate Amount PaymentAmount OrderId "
        "OpportunityId",
        "Product": "Name Code UnitId CurrencyId TaxId Price TypeId IsArchive UsrItemKind",
        "ProductPrice": "ProductId PriceListId CurrencyId Price",
        "Pricelist": "Name",
        "Currency": "Code ShortName Symbol Rate Division RecalcDirection",
        "CurrencyRate": "StartDate EndDate Rate RateMantissa",
        "AccountAddress": "AddressTypeId Primary Address CityId",
        "AccountCommunication": "CommunicationTypeId Number Primary",
        "ContactCommunication": "CommunicationTypeId Number Primary",
    }
    for name in listed:
        (row, *_) = acme_site.rows(name, top=1) or [{}]
        assert set(columns.get(name, "").split()) <= set(row), name
    assert "CurrencyId" not in acme_site.rows("InvoiceProduct", top=1)[0]
    assert acme_site.rows("UsrPaymentQB") == []


def test_filter_select_order_page_and_count_together(acme_site: Any) -> None:
    """All options of one read work together and the count is that of the filter."""
    response = acme_site.get(
        "Opportunity",
        filter="Stage/Name eq 'Closed won' and Amount ge 1000",
        select="Id,Amount",
        orderby="Amount desc,Id",
        top=5,
        skip=2,
        count="true",
    )
    content = response.json()
    won = [o for o in acme.build().opportunities if o.stage == "Closed won" and o.amount >= 1000]
    expected = sorted(won, key=lambda o: (-o.amount, o.id))
    assert content["@odata.count"] == len(won)
    assert [row["Id"] for row in content["value"]] == [o.id for o in expected[2:7]]
    assert set(content["value"][0]) == {"Id", "Amount"}
    assert response.headers["OData-Version"] == "4.0"
    assert response.headers["Content-Type"].startswith("application/json")


def test_lookups_are_filtered_by_navigation_path(acme_site: Any) -> None:
    """`Account/Id eq <bare guid>` finds, `AccountId eq <guid>` is a 500 that names the column."""
    contact = acme_site.rows("Contact", filter="Account/Name eq 'Acme Inc'")[0]
    assert contact in acme_site.rows("Contact", filter=f"Account/Id eq {contact['AccountId']}")
    refused = acme_site.get("Contact", filter=f"AccountId eq {contact['AccountId']}")
    assert refused.status_code == 500
    error = refused.json()["error"]
    assert error["innererror"]["message"] == "Column by path AccountId not found in schema Contact."
    assert (error["code"], error["message"]) == ("", "An error has occurred.")
    assert acme_site.get("Contact", orderby="AccountId").status_code == 500


def test_a_quoted_date_is_400_and_an_unquoted_one_filters(acme_site: Any) -> None:
    """Dates in filters are unquoted."""
    assert acme_site.get("Account", filter="ModifiedOn gt '2026-06-01T00:00:00Z'").status_code == 400
    since = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)
    found = acme_site.rows("Account", filter="ModifiedOn gt 2026-06-01T00:00:00Z", select="Id")
    assert {row["Id"] for row in found} == {a.id for a in acme.build().accounts if a.modified > since}


def test_percent_encoded_option_names_count_too(acme_site: Any) -> None:
    """`%24top` is `$top`; options without a dollar sign are ignored."""
    content = acme_site.session.get(f"{acme_site.odata}/Account?%24top=3&%24select=Name&top=1").json()
    assert len(content["value"]) == 3
    assert set(content["value"][0]) == {"Name"}


def test_texts_with_every_trouble_are_found_by_equality(acme_site: Any) -> None:
    """Each account of the world is found by its name, quotes doubled, and comes back as it is."""
    for account in acme.build().accounts[::7]:
        quoted = account.name.replace("'", "''")
        rows = acme_site.rows("Account", filter=f"Name eq '{quoted}'", select="Id,Name,Notes,Address")
        mine = next(row for row in rows if row["Id"] == account.id)
        assert (mine["Name"], mine["Notes"], mine["Address"]) == (account.name, account.notes, account.address.street)


def test_expand_nests_and_empty_lookups_are_null(acme_site: Any) -> None:
    """$expand follows lookups to any depth with their own $select; an empty lookup expands to null."""
    deal = acme_site.rows(
        "Opportunity",
        top=1,
        select="Title",
        expand="Account($select=Name;$expand=PrimaryContact($select=Email),City($expand=Country)),Contact/Account",
    )[0]
    assert set(deal) == {"Title", "Account", "Contact"}
    assert set(deal["Account"]) == {"Name", "PrimaryContact", "City"}
    assert deal["Account"]["City"] is None or "Name" in deal["Account"]["City"]["Country"]
    without = next(a for a in acme.build().accounts if a.primary_contact_id is None)
    assert acme_site.get(f"Account({without.id})", expand="PrimaryContact").json()["PrimaryContact"] is None
    assert acme_site.get("Account", expand="Name").status_code == 400
    assert acme_site.get("Account", expand="Account").status_code == 400
    assert acme_site.get("Account", expand="Owner($expand=Nobody)").status_code == 400


def test_counts_are_plain_text(acme_site: Any) -> None:
    """/Set/$count is a bare number and takes a filter."""
    response = acme_site.get("Account/$count")
    assert (response.text, response.headers["Content-Type"]) == ("200", "text/plain")
    assert acme_site.get("Opportunity/$count", filter="Stage/Name eq 'Closed won'").text == "90"


def test_one_record_its_properties_and_its_navigation(acme_site: Any) -> None:
    """A key is a bare GUID in brackets or a segment; properties, values and lookups can be asked for below it."""
    account = acme.build().accounts[0]
    whole = acme_site.get(f"Account({account.id})").json()
    assert whole["@odata.context"] == f"{acme_site.odata}/$metadata#Account/$entity"
    assert whole["Name"] == account.name
    assert acme_site.get(f"Account({account.id.upper()})").json() == whole
    assert acme_site.get(f"Account/{account.id}").json() == whole
    assert acme_site.get(f"Account({account.id})", select="Name").json()["Name"] == account.name
    assert acme_site.get(f"Account({account.id})/Name").json()["value"] == account.name
    assert acme_site.get(f"Account({account.id})/Name/$value").text == account.name
    assert acme_site.get(f"Account({account.id})/UsrQBBalance/$value").text == "0.00"
    assert acme_site.get(f"Account({account.id})/PrimaryContact/AccountId").json()["value"] == account.id
    assert acme_site.get(f"Account({account.id})/Parent").status_code == 204


def test_what_is_not_there_is_refused(acme_site: Any) -> None:
    """Unknown rows, objects, columns and options have their own refusals."""
    nobody = uuid.uuid4()
    assert acme_site.get(f"Account({nobody})").status_code == 404
    assert acme_site.get(f"Account({nobody})/Name").status_code == 404
    assert acme_site.get("Account('x')").status_code == 400
    assert acme_site.get(f"Account('{nobody}')").status_code == 400
    missing = acme_site.get("Accounts")
    assert missing.status_code == 404
    assert missing.json()["MessageDetail"] == "No type was found that matches the controller named 'Accounts'."
    assert acme_site.get("Account/Nope").status_code == 404
    assert acme_site.get(f"Account({acme.build().accounts[0].id})/Nope").status_code == 404
    for options in (
        {"select": "Name,Foo"},
        {"orderby": "Foo"},
        {"top": "-1"},
        {"top": "x"},
        {"skip": "-1"},
        {"count": "yes"},
        {"search": "x"},
        {"apply": "x"},
    ):
        response = acme_site.get("Account", **options)
        assert response.status_code == 400, options
        assert response.json()["error"]["message"].startswith("The query specified in the URI is not valid. ")
    assert acme_site.session.put(f"{acme_site.odata}/Account").status_code == 405


def test_empty_values_come_as_zero_guid_year_one_and_empty_text(site: Any) -> None:
    """Nothing is ever null in an answer."""
    row = site.create("Account", Name="Bare")
    assert row["PrimaryContactId"] == ZERO
    assert row["UsrQBLastModified"] == "0001-01-01T00:00:00Z"
    assert row["Phone"] == ""
    assert row["UsrActive"] is False
    assert None not in row.values()
    assert site.one("Account", filter="PrimaryContact/Id eq null and UsrQBLastModified eq null and Phone eq null")


def test_decimals_are_written_with_their_places(site: Any) -> None:
    """Amounts are exact JSON numbers, or texts where the client asks for IEEE754Compatible."""
    row = site.post("Account", Name="x", UsrQBBalance=1234567890123.45)
    assert '"UsrQBBalance":1234567890123.45' in row.text
    headers = {"Accept": "application/json;odata.metadata=minimal;IEEE754Compatible=true"}
    url = f"{site.odata}/Account({row.json()['Id']})?$select=UsrQBBalance"
    assert site.session.get(url, headers=headers).json()["UsrQBBalance"] == "1234567890123.45"
    assert Decimal("1234567890123.45") == Decimal(str(site.rows("Account")[0]["UsrQBBalance"]))


def test_paging_by_skip_meets_every_row_once(acme_site: Any) -> None:
    """Ordered by ModifiedOn and Id, pages make up the whole, also where stamps are equal."""
    whole = acme_site.rows("Opportunity", orderby="ModifiedOn,Id", select="Id,ModifiedOn")
    pages: list[dict[str, Any]] = []
    while page := acme_site.rows(
        "Opportunity", orderby="ModifiedOn,Id", select="Id,ModifiedOn", top=37, skip=len(pages)
    ):
        pages += page
    assert pages == whole
    assert len({row["ModifiedOn"] for row in whole}) < len(whole)


def test_more_rows_than_the_limit_are_a_500_or_a_next_link(make_site: Any) -> None:
    """An unpaged read over MaxEntityRowCount fails, or carries a nextLink where the site is set so."""
    world = acme.plain(25, contacts=False)
    strict = make_site(world, max_rows=10)
    refused = strict.get("Account")
    assert refused.status_code == 500
    assert "MaxEntityRowCount" in refused.json()["ExceptionMessage"]
    assert len(strict.rows("Account", top=25)) == 10
    assert len(strict.rows("Account", top=10, skip=20)) == 5

    linked = make_site(world, max_rows=10, next_link=True)
    content = linked.get("Account", filter="contains(Name,'Plain')", orderby="Name", count="true").json()
    names = [row["Name"] for row in content["value"]]
    while link := content.get("@odata.nextLink"):
        content = linked.session.get(link).json()
        names += [row["Name"] for row in content["value"]]
    assert names == [a.name for a in world.accounts]


def test_the_limit_is_twenty_thousand(make_site: Any) -> None:
    """Without any option the limit is that of the vendor."""
    site = make_site(acme.plain(20_001, contacts=False))
    assert site.get("Account", select="Id").status_code == 500
    assert len(site.rows("Account", select="Id", top=30_000)) == 20_000
    assert len(site.rows("Account", select="Id", top=30_000, skip=20_000)) == 1
    assert len(site.rows("AccountAddress", filter="Account/Code eq 'B-000007'")) == 1
