"""Each kind of error in a mapping: found, alone, with file, line, path and a way out."""

from __future__ import annotations

import pytest

from tests.spec.demo import Changes, Load

CUSTOMERS = "customers.yaml"


def with_field(text: str) -> Changes:
    """Add a line under `fields` of the customers, in line 11."""
    return {CUSTOMERS: ("owner: crm, length: 31}\n", f"owner: crm, length: 31}}\n  {text}\n")}


CASES: dict[str, tuple[Changes, str]] = {
    "not valid YAML": (
        {CUSTOMERS: ("direction: both", "direction: [both")},
        "customers.yaml:5: is not valid YAML: did not find expected ',' or ']'",
    ),
    "a tab": (
        {CUSTOMERS: ("fields:\n", "fields:\n\t\n")},
        "customers.yaml:9: is not valid YAML: found character that cannot start any token; expected spaces instead of "
        "tabs, and quotation marks around text with special characters",
    ),
    "a key twice": (
        {CUSTOMERS: ("direction: both", "direction: both\ncrm: Person")},
        "customers.yaml:5: crm: the key stands twice (first in line 2)",
    ),
    "a tag": (
        {CUSTOMERS: ("crm: Account", "crm: !!python/name:os.system Account")},
        "customers.yaml:2: crm: tag 'tag:yaml.org,2002:python/name:os.system' is not understood",
    ),
    "an empty file": (
        {CUSTOMERS: ""},
        "customers.yaml:1: is empty; expected the keys bind, books, check, crm, direction, fields, lines, mapping, "
        "neutral, to_books, to_crm, utilities, when_gone, write_back",
    ),
    "a list as the file": (
        {CUSTOMERS: "- mapping: customers\n"},
        "customers.yaml:1: is a list; expected the keys bind, books, check, crm, direction, fields, lines, mapping, "
        "neutral, to_books, to_crm, utilities, when_gone, write_back",
    ),
    "a missing key": (
        {CUSTOMERS: ("books: Customer\n", "")},
        "customers.yaml:1: the key 'books' is missing",
    ),
    "an unknown key": (
        {CUSTOMERS: ("direction: both", "directoin: both")},
        "customers.yaml:4: directoin: unknown key 'directoin'; expected one of bind, books, check, crm, direction, "
        "fields, lines, mapping, neutral, to_books, to_crm, utilities, when_gone, write_back; did you mean direction?",
    ),
    "an unknown key of a field": (
        with_field("phone: {ownr: crm}"),
        "customers.yaml:11: fields.phone.ownr: unknown key 'ownr'; expected one of books, crm, default_books, "
        "default_crm, length, owner, shorten, skip, to_books, to_crm, type, values, when_missing; did you mean owner?",
    ),
    "an unknown key deep inside": (
        {CUSTOMERS: ("opportunity_stage:", "oportunity_stage:")},
        "customers.yaml:6: to_books.create_when.oportunity_stage: unknown key 'oportunity_stage'; expected one of "
        "field, opportunity, opportunity_stage; did you mean opportunity_stage?",
    ),
    "a word that is not in the list": (
        {CUSTOMERS: ("direction: both", "direction: to_book")},
        "customers.yaml:4: direction: is 'to_book'; expected one of both, none, to_books, to_crm; "
        "did you mean to_books?",
    ),
    "an owner in other letters": (
        with_field("phone: {owner: CRM}"),
        "customers.yaml:11: fields.phone.owner: is 'CRM'; expected one of books, crm, latest; did you mean crm?",
    ),
    "an operation that there is not": (
        {CUSTOMERS: ("to_books: {", "to_books: {operations: update_onyl, ")},
        "customers.yaml:6: to_books.operations: is 'update_onyl'; expected one of create_and_update, create_only, "
        "none, update_only; did you mean update_only?",
    ),
    "a criterion that there is not": (
        {CUSTOMERS: ("else: [name, phone]", "else: [name, fone]")},
        "customers.yaml:5: bind.else[1]: is 'fone'; expected one of address, code, email, name, number, phone; "
        "did you mean phone?",
    ),
    "a number for text": (
        {CUSTOMERS: ("crm: Account", "crm: 12")},
        "customers.yaml:2: crm: is the number 12; expected text (put it in quotation marks)",
    ),
    "a list for keys": (
        {CUSTOMERS: ("bind: {by: id, id_field: X_BooksId, else: [name, phone]}", "bind: [name]")},
        "customers.yaml:5: bind: is a list; expected keys and values",
    ),
    "text for a length": (
        {CUSTOMERS: ("length: 31", "length: long")},
        "customers.yaml:10: fields.region.length: is 'long'; expected a whole number",
    ),
    "a condition of the wrong form": (
        {CUSTOMERS: ("opportunity_stage: [Won]", "field: {terms: {is: Net}}")},
        "customers.yaml:6: to_books.create_when.field.terms: is a group of keys; expected text or true or false or "
        "a whole number or a list",
    ),
    "a thing to write back that there is not": (
        {CUSTOMERS: ("write_back: {id:", "write_back: {idd:")},
        "customers.yaml:7: write_back.idd: the key 'idd' is not possible here; expected one of full_name, id, "
        "number, synced_at; did you mean id?",
    ),
    "a mapping's name with a blank": (
        {"items.yaml": ("mapping: items", "mapping: my items"), "flows.yaml": "flows: {}\n"},
        "items.yaml:1: mapping: is 'my items'; expected a letter first, then letters, digits and _ only",
    ),
    "an object that there is not": (
        {CUSTOMERS: ("crm: Account", "crm: Acount")},
        "customers.yaml:2: crm: Plain CRM has no object 'Acount' in its catalogue; expected one of Account, Deal, "
        "Party, Person, Receipt, Thing; did you mean Account?",
    ),
    "objects that have nothing in common": (
        {"items.yaml": ("books: Item", "books: Payment")},
        "items.yaml:3: books: Thing (item) and Payment (payment) have nothing in common; expected one of Item",
    ),
    "a neutral object that does not fit": (
        {"items.yaml": ("books: Item", "books: Item\nneutral: itm")},
        "items.yaml:4: neutral: 'itm' is not what both Thing and Item can be; expected item; did you mean item?",
    ),
    "an unknown neutral field": (
        with_field("phne: {owner: crm}"),
        "customers.yaml:11: fields.phne: unknown neutral field 'phne'; expected one of active, balance, billing.city, "
        "billing.postal_code, currency, email, full_name, name, notes, phone, shipping.city, terms, or `crm:` and "
        "`books:` with the fields' own names; did you mean phone?",
    ),
    "a neutral field that neither side has": (
        with_field("fax: {owner: crm}"),
        "customers.yaml:11: fields.fax: is a neutral field that neither side has; expected one of active, balance, "
        "billing.city, billing.postal_code, currency, email, full_name, name, notes, phone, shipping.city, terms, or "
        "`crm:` and `books:` with the fields' own names",
    ),
    "an exception for a field that there is not": (
        with_field("curency: {skip: true}"),
        "customers.yaml:11: fields.curency: unknown neutral field 'curency'; expected one of active, balance, "
        "billing.city, billing.postal_code, currency, email, full_name, name, notes, phone, shipping.city, terms, or "
        "`crm:` and `books:` with the fields' own names; did you mean currency?",
    ),
    "an unknown native field of the CRM": (
        with_field("web: {crm: WebSite, books: Own.Web}"),
        "customers.yaml:11: fields.web.crm: Account of Plain CRM has no field 'WebSite'; expected one of Active, City, "
        "Currency/Code, Mail, Name, Notes, Phone, Terms, Zip, or a custom field X_...",
    ),
    "an unknown native field of the books": (
        with_field("web: {crm: X_Web, books: Phon}"),
        "customers.yaml:11: fields.web.books: Customer of Plain Books has no field 'Phon'; expected one of Active, "
        "Balance, Bill.City, Bill.Zip, Currency, FullName, Mail, Name, Notes, Phone, Ship.City, TermRef, or a custom "
        "field Own....; did you mean Phone?",
    ),
    "a custom field where there are none": (
        {"items.yaml": ("  income", "  weight: {crm: X_Weight, books: Own.Weight}\n  income")},
        "items.yaml:5: fields.weight.books: Item of Plain Books has no field 'Own.Weight'; expected one of AccountRef, "
        "Active, Name, Price, Sku",
    ),
    "a neutral word for a native one": (
        with_field("web: {crm: email, books: Own.Web}"),
        "customers.yaml:11: fields.web.crm: Account of Plain CRM has no field 'email'; expected one of Active, City, "
        "Currency/Code, Mail, Name, Notes, Phone, Terms, Zip, or a custom field X_...; did you mean Mail?",
    ),
    "types that do not fit": (
        with_field("since: {crm: X_Since, type: date, books: Bill.City, owner: books}"),
        "customers.yaml:11: fields.since.type: is date, Customer of Plain Books has Bill.City as text",
    ),
    "text into a number": (
        {"invoices.yaml": ("  number: {owner: books}", "  total: {skip: true}\n  memo: {crm: Total, owner: books}")},
        "invoices.yaml:8: fields.memo: Memo does not fit Total: memo cannot become money; "
        "expected an expression to_crm",
    ),
    "a type against the catalogue": (
        with_field("mail2: {crm: Mail, books: Own.Mail, type: date}"),
        "customers.yaml:11: fields.mail2.type: is date, Account of Plain CRM has Mail as email",
    ),
    "a text that is too long for its named partner": (
        with_field("code: {crm: X_Code, books: Own.Code}"),
        "customers.yaml:11: fields.code: X_Code holds up to 120 characters, Own.Code takes 31; expected shorten: true, "
        "an expression to_books, or another owner, or `length` as the custom field has it",
    ),
    "a length where no custom field is named": (
        with_field("phone: {length: 12}"),
        "customers.yaml:11: fields.phone.length: is given, but no custom field is named here; "
        "expected no length: the catalogue knows it",
    ),
    "a reference to nothing": (
        with_field("rep: {crm: X_RepId, books: Own.Rep, type: ref}"),
        "customers.yaml:11: fields.rep.type: is ref, but nothing says what it refers to; "
        "expected a reference on the other side",
    ),
    "an owner whose value cannot be written": (
        {CUSTOMERS: ("balance: {crm: X_Balance}", "balance: {crm: X_Balance, owner: crm}")},
        "customers.yaml:9: fields.balance.owner: is crm, but Balance of Customer of Plain Books cannot be written",
    ),
    "latest where one side cannot be written": (
        {CUSTOMERS: ("balance: {crm: X_Balance}", "balance: {crm: X_Balance, owner: latest}")},
        "customers.yaml:9: fields.balance.owner: is latest, but Balance of Customer of Plain Books cannot be written",
    ),
    "a field that the target cannot write": (
        with_field("full_name: {}"),
        "customers.yaml:11: fields.full_name: would never be written: FullName of Customer of Plain Books cannot be "
        "written; Name of Account of Plain CRM cannot be written; expected skip: true, or another field",
    ),
    "a default for a direction that does not run": (
        {"items.yaml": ("books: Item\n", "books: Item\ndirection: to_crm\n"), "flows.yaml": "flows: {}\n"},
        "items.yaml:6: fields.income_account.default_books: is given, but the mapping does not run to_books; "
        "expected no such key",
    ),
    "an expression for a field that cannot be written": (
        with_field("full_name: {to_books: value | upper}"),
        "customers.yaml:11: fields.full_name.to_books: is given, but FullName of Customer of Plain Books cannot be "
        "written",
    ),
    "an owner in a direction that does not run": (
        {"items.yaml": ("fields:\n", "fields:\n  price: {owner: books}\n")},
        "items.yaml:5: fields.price.owner: is books, but the mapping does not run to_crm",
    ),
    "a field with nowhere to go": (
        with_field("adress: {crm: X_Address}"),
        "customers.yaml:11: fields.adress: goes nowhere: Customer of Plain Books has no field 'adress', and no "
        "condition or expression reads it; expected `books:` with a field of Customer of Plain Books",
    ),
    "a default that does not fit": (
        with_field("active: {default_books: maybe}"),
        "customers.yaml:11: fields.active.default_books: 'maybe' does not fit Active; expected true or false",
    ),
    "a default that is too long": (
        with_field("terms: {default_books: paid within thirty days of receipt}"),
        "customers.yaml:11: fields.terms.default_books: 'paid within thirty days of receipt' does not fit TermRef; "
        "expected at most 31 characters",
    ),
    "a translated word that does not fit": (
        with_field("currency: {values: {Dollar: USD}}"),
        "customers.yaml:11: fields.currency.values.Dollar: 'Dollar' does not fit Currency/Code; "
        "expected at most 3 characters",
    ),
    "two fields that write one": (
        with_field("hotline: {crm: X_Hotline, books: Phone, owner: crm, length: 30}"),
        "customers.yaml:11: fields.hotline: 'hotline' and 'phone' both write Phone; "
        "expected one of them, such as `phone: {skip: true}`",
    ),
    "a word that expressions need": (
        with_field("value: {crm: X_Value, books: Own.Value, length: 10}"),
        "customers.yaml:11: fields.value: cannot be the name of a field; "
        "expected letters, digits, _ and dots between words",
    ),
    "an expression with braces": (
        with_field("notes: {owner: crm, to_books: '{{ value }}'}"),
        "customers.yaml:11: fields.notes.to_books: has braces; "
        "expected a Jinja expression without braces, such as value | upper",
    ),
    "an expression that is none": (
        with_field("notes: {owner: crm, to_books: 'value |'}"),
        "customers.yaml:11: fields.notes.to_books: is not an expression: unexpected end of template, expected "
        "'name'; expected a Jinja expression without braces, such as value | upper",
    ),
    "a name that an expression does not have": (
        with_field("notes: {owner: crm, to_books: value ~ regoin}"),
        "customers.yaml:11: fields.notes.to_books: unknown name 'regoin'; expected one of active, balance, "
        "billing.city, billing.postal_code, currency, email, full_name, name, notes, phone, region, terms, value; "
        "did you mean region?",
    ),
    "lines that the object does not have": (
        {CUSTOMERS: ("fields:\n", "lines: {item: {skip: true}}\nfields:\n")},
        "customers.yaml:8: lines: Account of Plain CRM has no lines; expected no `lines`",
    ),
    "criteria that compare nothing": (
        {"items.yaml": ("fields:\n", "bind: {by: criteria}\nfields:\n")},
        "items.yaml:4: bind: is by criteria and names none; expected else: [name], for example",
    ),
    "a criterion that one side does not know": (
        {"items.yaml": ("fields:\n", "bind: {else: [code, email]}\nfields:\n")},
        "items.yaml:4: bind.else[1]: Thing of Plain CRM and Item of Plain Books have no email to compare",
    ),
    "an id_field that there is not": (
        {CUSTOMERS: ("id_field: X_BooksId", "id_field: BooksId")},
        "customers.yaml:5: bind.id_field: Account of Plain CRM has no field 'BooksId'; expected one of Active, City, "
        "Currency/Code, Mail, Name, Notes, Phone, Terms, Zip, or a custom field X_...",
    ),
    "a write-back to a field that there is not": (
        {CUSTOMERS: ("{id: X_BooksId, synced_at: X_Synced}", "{id: X_BooksId, synced_at: Synced}")},
        "customers.yaml:7: write_back.synced_at: Account of Plain CRM has no field 'Synced'; expected one of Active, "
        "City, Currency/Code, Mail, Name, Notes, Phone, Terms, Zip, or a custom field X_...",
    ),
    "a write-back to a field of another type": (
        {CUSTOMERS: ("synced_at: X_Synced", "synced_at: Active")},
        "customers.yaml:7: write_back.synced_at: Active is boolean; expected a field of the type datetime",
    ),
    "two write-backs to one field": (
        {CUSTOMERS: ("synced_at: X_Synced", "number: X_BooksId")},
        "customers.yaml:7: write_back.number: is 'X_BooksId', which 'id' is written to already",
    ),
    "a condition that the source cannot answer": (
        {"items.yaml": ("fields:\n", "to_books: {create_when: {opportunity: won}}\nfields:\n")},
        "items.yaml:4: to_books.create_when.opportunity: Thing of Plain CRM does not know of opportunities; "
        "expected `field:`, or no condition",
    ),
    "a condition on a field that there is not": (
        {"items.yaml": ("fields:\n", "to_books: {create_when: {field: {actve: true}}}\nfields:\n")},
        "items.yaml:4: to_books.create_when.field.actve: Thing of Plain CRM has no field 'actve' in this mapping; "
        "expected a neutral field, or a word under `fields` that names a field of it; did you mean active?",
    ),
    "options for a direction that does not run": (
        {"items.yaml": ("fields:\n", "to_crm: {operations: update_only}\nfields:\n")},
        "items.yaml:4: to_crm: is given, but direction is to_books; expected no `to_crm`",
    ),
    "creating what cannot be created": (
        {CUSTOMERS: "mapping: customers\ncrm: Person\nbooks: Customer\ndirection: to_crm\n",
         "flows.yaml": "flows: {}\n", "invoices.yaml": None},
        "customers.yaml:1: to_crm.operations: Person of Plain CRM cannot be created; expected update_only",
    ),
    "a required field that nothing gives": (
        {"items.yaml": ("{default_books: Sales}", "{skip: true}")},
        "items.yaml:5: fields.income_account: Item of Plain Books is not created without 'income_account', and nothing "
        "gives it (to_books); expected `default_books`, an expression, or a field with the owner on the other side",
    ),
    "a required field of a line that is skipped": (
        {"invoices.yaml": ("fields:", "lines: {amount: {skip: true}}\nfields:")},
        "invoices.yaml:6: lines.amount: Invoice of Plain Books is not created without 'amount', and nothing gives it "
        "(to_books); expected `default_books`, an expression, or a field with the owner on the other side",
    ),
    "a reference whose object has no mapping": (
        {"items.yaml": None, "flows.yaml": "flows: {}\n"},
        "invoices.yaml:1: lines.item: refers to a record of 'item', and no mapping of the company is about those; "
        "expected such a mapping, or `item: {skip: true}`",
    ),
    "two mappings that write one target": (
        {"people.yaml": "mapping: people\ncrm: Person\nbooks: Customer\n", "invoices.yaml": None,
         "flows.yaml": "flows: {}\n"},
        "people.yaml:3: books: 'people' and 'customers' both write Customer (to_books); "
        "expected other operations, or create_when conditions that exclude one another",
    ),
    "a mapping in two files": (
        {"more.yaml": "mapping: items\ncrm: Thing\nbooks: Item\nfields: {income_account: {default_books: Sales}}\n",
         "flows.yaml": "flows: {}\n"},
        "more.yaml:1: mapping: the mapping 'items' stands in items.yaml already",
    ),
}  # fmt: skip


@pytest.mark.feature("M8")
@pytest.mark.parametrize("name", CASES)
def test_error_is_found_and_explained(name: str, load: Load) -> None:
    """A wrong mapping gives exactly one error, which names file, line and path and what is expected."""
    changes, expected = CASES[name]
    _, errors = load(changes)
    assert errors == [expected]


def test_demo_itself_is_free_of_errors(load: Load) -> None:
    """Without a change there is no error, so each error above comes from its change."""
    spec, errors = load()
    assert errors == []
    assert spec is not None
    assert sorted(spec.written) == ["PBCust2PCAcctNF", "PCAcctOpp2PBCustInv", "PCProd2PBItemDR"]


def test_all_errors_come_at_once(load: Load) -> None:
    """Errors of form, of fields, of flows and of the company are all told in one go, by file and line."""
    _, errors = load(
        {
            "company.yaml": ("time_zone: Europe/Berlin", "time_zone: Europe/Berln"),
            "customers.yaml": ("balance: {crm: X_Balance}", "balance: {crm: X_Balance, ownr: books}\n  phne: {}"),
            "items.yaml": ("income_account:", "incme_account:"),
            "flows.yaml": ("mappings: [items]", "mappings: [item]"),
        }
    )
    heads = [error.split(": ")[0] + " " + error.split(": ")[1] for error in errors]
    assert heads == [
        "company.yaml:4 time_zone",
        "customers.yaml:9 fields.balance.ownr",
        "customers.yaml:10 fields.phne",
        "flows.yaml:9 flows.PCProd2PBItemDR.mappings[0]",
        "items.yaml:5 fields.incme_account",
    ]


def test_errors_behind_an_error_of_form_are_told_as_well(load: Load) -> None:
    """A misspelt key in one field does not hide what is wrong with another field of the same mapping."""
    _, errors = load({"customers.yaml": ("balance: {crm: X_Balance}", "balance: {ownr: books}\n  phne: {owner: crm}")})
    assert [error.split(";")[0] for error in errors] == [
        "customers.yaml:9: fields.balance.ownr: unknown key 'ownr'",
        "customers.yaml:10: fields.phne: unknown neutral field 'phne'",
    ]
