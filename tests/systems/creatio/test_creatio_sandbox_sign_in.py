"""Signing in to a Creatio over a socket: both ways, both roots, and every way in which a session ends."""

from __future__ import annotations

import pytest

from iw_operators.errors import ConnectionFailure, FixConfiguration, RetryLater, Throttled
from sandbox.seed import acme
from tests.systems.creatio.conftest import MakeSite, Site
from tests.systems.creatio.helpers import Kept, view_of

pytestmark = [pytest.mark.sandbox, pytest.mark.feature("S1")]


@pytest.mark.parametrize("auth", ["forms", "oauth"])
@pytest.mark.parametrize(("flavour", "platform"), [("netcore", "core"), ("netframework", "framework")])
def test_both_ways_in_on_both_platforms(make_site: MakeSite, flavour: str, platform: str, auth: str) -> None:
    """Forms and OAuth let us in on .NET Core and on .NET Framework; `check` is one request after signing in."""
    site = make_site(acme.empty(), flavour=flavour)
    line = site.system(auth=auth, platform=platform).check()
    assert "signed in as" in line
    assert site.requests() == 2


@pytest.mark.parametrize(("flavour", "platform"), [("netcore", "framework"), ("netframework", "core")])
def test_the_wrong_platform_is_told(make_site: MakeSite, flavour: str, platform: str) -> None:
    """The other platform's root is not there, and the error says where to look."""
    with pytest.raises(FixConfiguration, match="choose the other platform") as caught:
        make_site(acme.empty(), flavour=flavour).system(platform=platform).check()
    assert caught.value.code == "creatio.not_here"


@pytest.mark.parametrize("fault", ["login_page", "expire_session", "csrf"])
def test_a_session_that_ends_is_renewed_in_the_middle(acme_site: Site, fault: str) -> None:
    """The login page with 200, a 401 and a refused BPMCSRF cost one sign-in; the reading goes on where it was."""
    state = Kept()
    system = acme_site.system(state=state)
    before = [record.id for page in system.scan(view_of("Account"), None) for record in page]
    acme_site.fault(fault, after=1, match="/odata/")
    system = acme_site.system(state=state)
    system.check()
    assert [record.id for page in system.scan(view_of("Account"), None) for record in page] == before
    assert state.writes == 2


def test_a_token_that_ends_is_renewed(make_site: MakeSite) -> None:
    """An OAuth token is renewed before its time is over, and when it is refused."""
    site = make_site(acme.empty(), token_seconds=30)
    state = Kept()
    system = site.system(auth="oauth", state=state)
    system.check()
    assert state.writes == 1
    site.system(auth="oauth", state=state).check()
    assert state.writes == 2, "a token with half a minute left is not used by the next task"
    site.fault("expire_session", match="/odata")
    system.check()
    assert state.writes == 3


def test_a_kept_session_is_used_by_the_next_task(empty_site: Site) -> None:
    """Three tasks of a run sign in once."""
    state = Kept()
    for _ in range(3):
        empty_site.system(state=state).check()
    assert empty_site.requests() == 4


def test_a_site_that_is_down_or_busy(empty_site: Site) -> None:
    """A page instead of data, a failing server and a broken connection are to be tried later."""
    system = empty_site.system()
    system.check()
    for fault in ("html", "status_500", "status_503"):
        empty_site.fault(fault)
        with pytest.raises(ConnectionFailure):
            system.check()
    empty_site.fault("drop_before")
    assert system.check(), "one broken read is repeated"
    empty_site.fault("drop_middle", times=2)
    with pytest.raises(RetryLater):
        system.check()


def test_the_daily_quota(make_site: MakeSite) -> None:
    """More calls than the plan allows are told as throttling."""
    system = make_site(acme.empty(), daily_calls=2).system()
    system.check()
    system.check()
    with pytest.raises(Throttled):
        system.check()


def test_the_clock_is_creatios(make_site: MakeSite) -> None:
    """`now` is the server's time, not ours, and asks only if there was no answer yet."""
    site = make_site(acme.empty(), clock="2026-05-05T10:00:00+00:00")
    system = site.system()
    assert system.now().isoformat().startswith("2026-05-05T10:00:0")
    requests = site.requests()
    system.now()
    assert site.requests() == requests
