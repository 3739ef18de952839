"""Both business systems as an outsider sees them: python-quickbooks on one side, plain `requests` on the other."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import requests
import tenacity
from intuitlib.client import AuthClient
from quickbooks import QuickBooks
from quickbooks.exceptions import QuickbooksException

from sandbox.creatio import Options as CreatioOptions
from sandbox.quickbooks_online.options import CLIENT_ID, CLIENT_SECRET, REALM, REFRESH_TOKEN

PAGE = 1000

patiently = tenacity.retry(  # the quotas are one for all clients of a company, the flows' own among them
    retry=tenacity.retry_if_exception(lambda e: isinstance(e, QuickbooksException) and "Throttle" in str(e)),
    wait=tenacity.wait_fixed(1),
    stop=tenacity.stop_after_delay(90),
    reraise=True,
)


@dataclass
class Crm:
    """A Creatio, signed in by forms."""

    url: str
    session: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        options = CreatioOptions()
        body = {"UserName": options.user, "UserPassword": options.password}
        self.session.post(f"{self.url}/ServiceModel/AuthService.svc/Login", json=body).raise_for_status()
        self.session.headers.update({"BPMCSRF": self.session.cookies["BPMCSRF"], "ForceUseSession": "true"})

    def rows(self, entity: str, **options: str) -> list[dict[str, Any]]:
        """Return all rows of a read; `filter="..."` becomes `$filter=...`."""
        parameters = {f"${name}": value for name, value in options.items()}
        answer = self.session.get(f"{self.url}/odata/{entity}", params=parameters)
        answer.raise_for_status()
        rows: list[dict[str, Any]] = answer.json(parse_float=Decimal)["value"]
        return rows

    def one(self, entity: str, **options: str) -> dict[str, Any]:
        """Return the only row of a read."""
        (row,) = self.rows(entity, **options)
        return row

    def create(self, entity: str, **values: Any) -> str:
        """Make a record; return its id."""
        answer = self.session.post(f"{self.url}/odata/{entity}", json=values)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["Id"])

    def change(self, entity: str, key: str, **values: Any) -> None:
        """Change a record."""
        answer = self.session.patch(f"{self.url}/odata/{entity}({key})", json=values)
        assert answer.status_code == 204, answer.text

    def sale(self, name: str, prices: list[int]) -> tuple[str, str]:
        """Make an account with a won opportunity; return the ids of both."""
        account = self.create("Account", Name=name, UsrActive=True, UsrCurrencyId=self._dollars())
        return account, self.sell(account, f"{name} order", prices)

    def _dollars(self) -> str:
        return str(self.one("Currency", filter="ShortName eq 'USD'", select="Id")["Id"])

    def sell(self, account: str, title: str, prices: list[int]) -> str:
        """Make a won opportunity of an account, one line a price; return its id."""
        opportunity = self.create(
            "Opportunity",
            Title=title,
            AccountId=account,
            StageId=self.one("OpportunityStage", filter="Name eq 'Closed won'", select="Id")["Id"],
            UsrCurrencyId=self._dollars(),
        )
        product = self.one("Product", filter="Name eq 'Consulting hour'", select="Id")["Id"]
        for price in prices:
            line = {"OpportunityId": opportunity, "ProductId": product}
            self.create("OpportunityProductInterest", **line, Quantity=1, Price=price, Amount=price)
        return opportunity

    def close(self) -> None:
        """Sign off."""
        self.session.close()


class Books:
    """A QuickBooks Online company through python-quickbooks."""

    def __init__(self, url: str) -> None:
        self.auth = AuthClient(CLIENT_ID, CLIENT_SECRET, "http://localhost", environment=f"{url}/discovery")
        self.client = QuickBooks(auth_client=self.auth, refresh_token=REFRESH_TOKEN, company_id=REALM, minorversion=75)
        self.client.api_url_v3 = f"{url}/v3"

    @patiently
    def rows(self, entity: str, where: str = "") -> list[dict[str, Any]]:
        """Return all rows of an entity as JSON."""
        query = f"SELECT * FROM {entity} {where} MAXRESULTS {PAGE}"  # noqa: S608  QuickBooks' own query language
        rows: list[dict[str, Any]] = self.client.query(query).get("QueryResponse", {}).get(entity, [])
        assert len(rows) < PAGE
        return rows

    def everyone(self, entity: str) -> list[dict[str, Any]]:
        """Return all rows of a list entity, inactive ones too."""
        return self.rows(entity, "WHERE Active IN (true, false)")

    @patiently
    def change(self, entity: str, row: dict[str, Any], **values: Any) -> None:
        """Change some fields of a row."""
        body = {"Id": row["Id"], "SyncToken": row["SyncToken"], "sparse": True, **values}
        self.client.update_object(entity, json.dumps(body))

    @patiently
    def create(self, entity: str, **values: Any) -> str:
        """Make a record; return its id."""
        made: dict[str, Any] = self.client.create_object(entity, json.dumps(values))
        return str(made[entity]["Id"])

    def close(self) -> None:
        """Give the connections back."""
        self.client.session.close()
        self.auth.close()
