"""Who may do what on the page, and how it is kept that nobody else does it in their name.

| right | who has it | what for |
|---|---|---|
| see | may read the flow's DAG in Airflow | everything that is shown |
| operate | may edit the flow's DAG in Airflow | start, stop, run, records, reviews, maintenance, testing connections |
| administer | role Admin; with an auth manager without roles, `PUT` on the view named in `ADMIN_VIEW` | Query Starts |

Maintenance and what is about a company as a whole needs the right to operate each of its flows. Airflow's auth
manager signs people in and answers these questions; a company of which nobody may see a flow does not exist for them.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import urlsplit

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.base_auth_manager import COOKIE_NAME_JWT_TOKEN
from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import Depends, Form, HTTPException, Path, Request
from itsdangerous import BadSignature, URLSafeTimedSerializer

from iw_operators.ledger.codec import can_be_stored

if TYPE_CHECKING:
    from starlette.responses import Response

ADMIN_VIEW: Final = "InterWeave administration"
STALE: Final = "This page was open for too long, or was not opened here. Go back, reload it, and do it again."
HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
        "connect-src 'self'; form-action 'self'; frame-ancestors 'self'; base-uri 'none'"
    ),
    "X-Frame-Options": "SAMEORIGIN",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


@dataclass(frozen=True, slots=True)
class Access:
    """What the person who asks may do."""

    name: str
    sees: frozenset[str]  # DAG ids
    operates: frozenset[str]
    administers: bool
    token: str  # that this session's forms carry

    def may_operate_all(self, dag_ids: Collection[str]) -> bool:
        """Whether each of these flows may be operated, and there is one."""
        return bool(dag_ids) and set(dag_ids) <= self.operates


def readable(request: Request) -> None:
    """Refuse addresses with characters that no database takes (422)."""
    given = [*request.path_params.values(), *request.query_params.values(), *request.query_params.keys()]
    if not all(can_be_stored(str(value)) for value in given):
        raise HTTPException(422, "The address holds a character that cannot be looked for.")


def access(request: Request, user: GetUserDep, session: SessionDep) -> Access:
    """Return what the signed-in user may do; 401 for everybody else."""
    manager = get_auth_manager()
    return Access(
        name=user.get_name(),
        sees=frozenset(manager.get_authorized_dag_ids(user=user, method="GET", session=session)),
        operates=frozenset(manager.get_authorized_dag_ids(user=user, method="PUT", session=session)),
        administers=_administers(user),
        token=_token(request, user.get_name()),
    )


AccessDep = Annotated[Access, Depends(access)]
LARGEST: Final = 2**63 - 1  # of a row's number in the ledger
Number = Annotated[int, Path(ge=1, le=LARGEST)]


def _administers(user: Any) -> bool:
    role = getattr(user, "role", None)
    if isinstance(role, str):  # the simple auth manager, which lets everybody into every view
        return role.lower() == "admin"
    names = {str(getattr(each, "name", each)).lower() for each in getattr(user, "roles", None) or ()}
    manager = get_auth_manager()
    return "admin" in names or manager.is_authorized_custom_view(method="PUT", resource_name=ADMIN_VIEW, user=user)


def administrator(who: AccessDep) -> Access:
    """Let only those through who administer."""
    if not who.administers:
        raise HTTPException(403, "This takes the role Admin.")
    return who


def genuine(request: Request, who: AccessDep, token: Annotated[str, Form()] = "") -> None:
    """Let a form through only when it came from a page that this session was shown (403 otherwise).

    A request that carries its own bearer token cannot come from another site's page and needs no form token.
    """
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise HTTPException(403, STALE)
    if (origin := request.headers.get("origin")) is not None and not _ours(origin, request):
        raise HTTPException(403, STALE)
    bearer = request.headers.get("authorization", "").lower().startswith("bearer ")
    if not bearer and not hmac.compare_digest(token.encode(), who.token.encode()):
        raise HTTPException(403, STALE)


def _ours(origin: str, request: Request) -> bool:
    from airflow.configuration import conf

    given = urlsplit(origin)
    configured = urlsplit(conf.get("api", "base_url", fallback="") or "")
    return bool(given.netloc) and given.netloc in {request.headers.get("host", ""), configured.netloc}


def _secret() -> bytes:
    from airflow.configuration import conf

    return hashlib.sha256(f"interweave manager {conf.get('api', 'secret_key')}".encode()).digest()


def _token(request: Request, name: str) -> str:
    session = request.cookies.get(COOKIE_NAME_JWT_TOKEN, "")
    return hmac.new(_secret(), f"{name}\n{session}".encode(), hashlib.sha256).hexdigest()


def seal(message: str, kind: str) -> str:
    """Return a message for the page that is shown next, so that nobody else can put words into our page."""
    return URLSafeTimedSerializer(_secret(), salt="said").dumps([kind, message])


def unseal(sealed: str) -> tuple[str, str] | None:
    """Return kind and text of a message that is not older than a few minutes; None for anything else."""
    try:
        kind, message = URLSafeTimedSerializer(_secret(), salt="said").loads(sealed, max_age=300)
    except (BadSignature, ValueError):
        return None
    return str(kind), str(message)


def harden(response: Response) -> None:
    """Give an answer the headers that keep a browser from doing anything with it but show it here."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("Cache-Control", "no-store")
