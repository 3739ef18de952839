"""Signing in: what is sent, what an answer means, and when it is done again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import parse_qs

import pytest

from iw_operators.errors import ConnectionFailure, FixConfiguration, InterWeaveError, SignInAgain, Throttled
from iw_operators.systems.creatio.auth import Auth, Forms, OAuth, Session
from iw_operators.systems.creatio.client import Client
from iw_operators.systems.creatio.query import Expand, Query
from iw_operators.systems.http import Request, Response, json_loads
from tests.systems.creatio.helpers import LET_IN, SITE, Kept, client_over, reply

FORMS = Forms(SITE, "user", "secret")
OAUTH = OAuth(SITE, "https://id.test", "client", "s&cret")
READ = Query("Account", Expand(frozenset({"Id"})), top=1)
LOGIN_PAGE = '<!DOCTYPE html><script>require(["bootstrap.login"])</script>'


def outcome(auth: Auth, answer: Response) -> Session:
    """Run a sign-in against one answer."""
    flow = auth.sign_in(1_000.0)
    next(flow)
    try:
        flow.send(answer)
    except StopIteration as done:
        session: Session = done.value
        return session
    raise AssertionError


@pytest.mark.feature("S1")
def test_forms_sign_in_and_what_each_request_carries() -> None:
    """The password goes to the site's root; cookies, BPMCSRF and ForceUseSession go with each later request."""
    request = next(FORMS.sign_in(0))
    assert (request.method, request.url) == ("POST", f"{SITE}/ServiceModel/AuthService.svc/Login")
    assert json_loads(request.body or b"") == {"UserName": "user", "UserPassword": "secret"}
    headers = outcome(FORMS, LET_IN).headers()
    assert headers == {"Cookie": ".ASPXAUTH=a1; BPMCSRF=c1", "ForceUseSession": "true", "BPMCSRF": "c1"}


@pytest.mark.feature("S1")
def test_oauth_sign_in_and_what_each_request_carries() -> None:
    """Client credentials go form-encoded to the identity service; later requests carry the token and no BPMCSRF."""
    request = next(OAUTH.sign_in(0))
    assert (request.method, request.url) == ("POST", "https://id.test/connect/token")
    assert parse_qs((request.body or b"").decode()) == {
        "grant_type": ["client_credentials"],
        "client_id": ["client"],
        "client_secret": ["s&cret"],
    }
    session = outcome(OAUTH, reply(200, {"access_token": "t1", "expires_in": 3600, "token_type": "Bearer"}))
    assert session.headers() == {"Authorization": "Bearer t1"}
    assert session.ends == 4_600.0
    assert session.over(4_541.0)
    assert not session.over(4_539.0)


@pytest.mark.parametrize(
    ("auth", "answer", "kind", "words"),
    [
        (FORMS, reply(200, {"Code": 1, "Message": "Invalid username or password specified."}), FixConfiguration, "Inv"),
        (FORMS, reply(200, html="<html>hello</html>"), FixConfiguration, "not Creatio's sign-in"),
        (FORMS, reply(404, html="<html>404</html>"), FixConfiguration, "not Creatio's sign-in"),
        (FORMS, reply(401, {"Message": "Authentication failed."}), FixConfiguration, "not Creatio's sign-in"),
        (FORMS, reply(200, {"answer": 42}), FixConfiguration, "not Creatio's sign-in"),
        (FORMS, reply(200, {"Code": 0}), FixConfiguration, "gave no session"),
        (FORMS, reply(503, html="<html>wait</html>"), ConnectionFailure, "failed"),
        (FORMS, reply(429), Throttled, "no sign-ins"),
        (OAUTH, reply(400, {"error": "invalid_client"}), FixConfiguration, "invalid_client"),
        (OAUTH, reply(404, html="<html>404</html>"), FixConfiguration, "identity"),
        (OAUTH, reply(500, html="<html>500</html>"), ConnectionFailure, "failed"),
    ],
)
def test_refused_sign_in_says_what_is_wrong(
    auth: Auth, answer: Response, kind: type[InterWeaveError], words: str
) -> None:
    """Each way of not being let in has its own class and sentence, and none repeats a secret."""
    with pytest.raises(kind, match=words) as caught:
        outcome(auth, answer)
    assert "secret" not in str(caught.value).replace("client id and secret", "")


def test_session_survives_being_kept() -> None:
    """A session that is written to the state and read again is the same, unless it is another user's or has ended."""
    session = Session("me", {"a": "1"}, "tok", 500.0)
    state = session.to_state()
    assert Session.from_state(state, "me", 0.0) == session
    assert Session.from_state(state, "you", 0.0) is None
    assert Session.from_state(state, "me", 450.0) is None
    assert Session.from_state({}, "me", 0.0) is None
    assert "tok" not in repr(session)


def counted(answers: Mapping[str, Callable[[Request], Response]], requests: list[str]) -> Callable[[Request], Response]:
    """Return a transport that notes what is asked and answers by the end of the address."""

    def transport(request: Request) -> Response:
        requests.append(request.url.rpartition("/")[2].partition("?")[0])
        return next(answer for end, answer in answers.items() if end in request.url)(request)

    return transport


ENDED = [
    reply(401, {"Message": "Authentication failed."}),
    reply(403, {"Message": "Request does not contain a valid BPMCSRF token."}),
    reply(200, html=LOGIN_PAGE),
    Response(302, {"location": "/Login/NuiLogin.aspx?ReturnUrl=%2f"}),
]


@pytest.mark.feature("S1")
@pytest.mark.parametrize("ended", ENDED)
def test_ended_session_is_renewed_once_and_the_request_repeated(ended: Response) -> None:
    """401, 403, the login page with 200 and the redirect to it all lead to one new sign-in and one repetition."""
    requests: list[str] = []
    answers = iter([ended, reply(200, {"value": []})])
    state = Kept(Session(FORMS.owner, {".ASPXAUTH": "old"}).to_state())
    client = Client(
        counted({"Login": lambda _: LET_IN, "Account": lambda _: next(answers)}, requests), FORMS, state, site=SITE
    )
    assert client.read(READ) == {"value": []}
    assert requests == ["Account", "Login", "Account"]
    assert state.writes == 1


def test_second_refusal_is_not_tried_again() -> None:
    """A session that ends at once is an error; a 403 that stays is a missing right."""
    requests: list[str] = []
    client = Client(
        counted({"Login": lambda _: LET_IN, "Account": lambda _: reply(401)}, requests), FORMS, Kept(), site=SITE
    )
    with pytest.raises(SignInAgain):
        client.read(READ)
    assert requests == ["Login", "Account", "Login", "Account"]
    with pytest.raises(FixConfiguration) as caught:
        client_over(lambda _: reply(403, {"Message": "no"})).read(READ)
    assert caught.value.code == "creatio.rights"


@pytest.mark.feature("S1")
def test_a_session_that_another_task_renewed_is_used() -> None:
    """Under the lock the kept session is looked at again: what another task renewed saves a sign-in."""
    requests: list[str] = []
    state = Kept(Session(FORMS.owner, {".ASPXAUTH": "old"}).to_state())
    answers = iter([401, 200])

    def account(request: Request) -> Response:
        status = next(answers)
        if status == 401:
            state.value = Session(FORMS.owner, {".ASPXAUTH": "new"}).to_state()
        else:
            assert "new" in request.headers["Cookie"]
        return reply(status, {"value": []})

    client = Client(counted({"Login": lambda _: LET_IN, "Account": account}, requests), FORMS, state, site=SITE)
    client.read(READ)
    assert requests == ["Account", "Account"]


@pytest.mark.feature("S1")
def test_tasks_share_one_sign_in() -> None:
    """A second client over the same state does not sign in."""
    requests: list[str] = []
    transport = counted({"Login": lambda _: LET_IN, "Account": lambda _: reply(200, {"value": []})}, requests)
    state = Kept()
    for _ in range(3):
        Client(transport, FORMS, state, site=SITE).read(READ)
    assert requests == ["Login", "Account", "Account", "Account"]


def test_renewed_cookies_are_carried_on() -> None:
    """Cookies that an answer renews or adds go with the next request, BPMCSRF in its header too."""
    seen: list[Mapping[str, str]] = []

    def account(request: Request) -> Response:
        seen.append(request.headers)
        return reply(200, {"value": []}, cookies={"BPMSESSIONID": "s9", "BPMCSRF": "c2"})

    client = client_over(account)
    client.read(READ)
    client.read(READ)
    assert seen[1]["Cookie"] == ".ASPXAUTH=a1; BPMCSRF=c2; BPMSESSIONID=s9"
    assert seen[1]["BPMCSRF"] == "c2"


def test_failure_to_sign_in_leaves_nothing_sent() -> None:
    """A write whose sign-in broke off was not carried out, and is told as not sent."""

    def broken(_: Request) -> Response:
        msg = "broke"
        raise ConnectionFailure(msg, sent=True)

    client = Client(broken, FORMS, Kept(), site=SITE)
    with pytest.raises(ConnectionFailure) as caught:
        client.write([])
    assert caught.value.sent is False
