"""$batch in both formats: order, stopping, atomicity, references to what was just made, limits."""

from __future__ import annotations

import email
import json
import uuid
from email.message import Message
from typing import Any

import pytest
import requests

pytestmark = [pytest.mark.sandbox, pytest.mark.feature("S1")]

ON = {"Prefer": "continue-on-error"}


def part(number: int, method: str, url: str, body: object = None, **more: Any) -> dict[str, Any]:
    """One request of a JSON batch."""
    request: dict[str, Any] = {"id": str(number), "method": method, "url": url, **more}
    if body is not None:
        request |= {"body": body, "headers": {"Content-Type": "application/json"}}
    return request


def send(site: Any, *requests_: dict[str, Any], headers: dict[str, str] | None = None) -> list[dict[str, Any]]:
    """Send a JSON batch that has to be answered."""
    response = site.session.post(f"{site.odata}/$batch", json={"requests": list(requests_)}, headers=headers)
    assert response.status_code == 200, response.text
    answers: list[dict[str, Any]] = response.json()["responses"]
    return answers


def multipart(site: Any, body: str, **headers: str) -> requests.Response:
    """Send a multipart batch, with the line ends that HTTP wants."""
    types = {"Content-Type": "multipart/mixed; boundary=batch_1", **headers}
    response: requests.Response = site.session.post(
        f"{site.odata}/$batch", data=body.replace("\n", "\r\n").encode(), headers=types
    )
    return response


def unpack(response: requests.Response) -> list[tuple[str | None, int, Any]]:
    """Read a multipart answer with the standard library: (Content-ID, status, body) of each part in order."""
    head = f"Content-Type: {response.headers['Content-Type']}\r\n\r\n".encode()
    found = []
    for piece in email.message_from_bytes(head + response.content).walk():
        assert isinstance(piece, Message)
        if piece.get_content_type() != "application/http":
            continue
        payload = piece.get_payload(decode=True)
        assert isinstance(payload, bytes)
        status, _, rest = payload.partition(b"\r\n")
        content = rest.partition(b"\r\n\r\n")[2].strip()
        found.append((piece["Content-ID"], int(status.split()[1]), json.loads(content) if content else None))
    return found


def test_answers_come_in_order_with_their_ids(site: Any) -> None:
    """Reads and writes of one batch see each other's work, in order."""
    key = str(uuid.uuid4())
    answers = send(
        site,
        part(1, "POST", "Account", {"Id": key, "Name": "A"}),
        part(2, "PATCH", f"Account({key})", {"Name": "B"}),
        part(3, "GET", f"Account({key})?$select=Name"),
        part(4, "GET", "/odata/Account?$filter=Name%20eq%20'B'&$select=Id"),
        part(5, "GET", f"{site.odata}/Account/$count"),
        part(6, "DELETE", f"Account/{key}"),
    )
    assert [(a["id"], a["status"]) for a in answers] == [
        ("1", 201),
        ("2", 204),
        ("3", 200),
        ("4", 200),
        ("5", 200),
        ("6", 204),
    ]
    assert answers[0]["headers"]["location"] == f"{site.odata}/Account({key})"
    assert answers[0]["headers"]["odata-version"] == "4.0"
    assert answers[2]["body"]["Name"] == "B"
    assert answers[3]["body"]["value"] == [{"Id": key}]
    assert answers[4]["body"] == "1"
    assert "body" not in answers[1]


def test_a_batch_stops_at_the_first_failure(site: Any) -> None:
    """What came before stays, what comes after is not tried and not answered."""
    answers = send(
        site,
        part(1, "POST", "Account", {"Name": "A"}),
        part(2, "POST", "Account", {"Nope": 1}),
        part(3, "POST", "Account", {"Name": "C"}),
    )
    assert [a["status"] for a in answers] == [201, 400]
    assert [row["Name"] for row in site.rows("Account")] == ["A"]


@pytest.mark.parametrize("prefer", ["continue-on-error", "odata.continue-on-error", "continue-on-error=true"])
def test_continue_on_error_goes_on(site: Any, prefer: str) -> None:
    """With the preference on the batch itself each request is tried."""
    answers = send(
        site,
        part(1, "POST", "Account", {"Nope": 1}),
        part(2, "GET", "Nope"),
        part(3, "POST", "Account", {"Name": "C"}),
        headers={"Prefer": prefer},
    )
    assert [a["status"] for a in answers] == [400, 404, 201]
    assert answers[0]["body"]["error"]["message"] == "The request is invalid."


def test_a_preference_inside_of_a_part_does_not_count(site: Any) -> None:
    """Only the batch's own header decides."""
    first = part(1, "POST", "Account", {"Nope": 1})
    first["headers"]["Prefer"] = "continue-on-error"
    assert len(send(site, first, part(2, "GET", "Account"))) == 1


def test_an_atomicity_group_is_done_whole_or_not_at_all(site: Any) -> None:
    """A failure undoes its group and is the only answer of the group; other requests are not touched."""
    answers = send(
        site,
        part(1, "POST", "Account", {"Name": "before"}),
        part(2, "POST", "Account", {"Name": "G1"}, atomicityGroup="g"),
        part(3, "POST", "Account", {"Nope": 1}, atomicityGroup="g"),
        part(4, "POST", "Account", {"Name": "G2"}, atomicityGroup="g"),
        part(5, "POST", "Account", {"Name": "after"}),
        headers=ON,
    )
    assert [(a["id"], a["status"]) for a in answers] == [("1", 201), ("3", 400), ("5", 201)]
    assert sorted(row["Name"] for row in site.rows("Account")) == ["after", "before"]
    whole = send(
        site,
        part(1, "POST", "Account", {"Name": "H1"}, atomicityGroup="h"),
        part(2, "POST", "Account", {"Name": "H2"}, atomicityGroup="h"),
    )
    assert [a["status"] for a in whole] == [201, 201]
    assert whole[0]["atomicityGroup"] == whole[1]["atomicityGroup"]


def test_a_part_can_refer_to_what_an_earlier_one_made(site: Any) -> None:
    """`$<id>` stands for the new record's address, and what depends on a failure is not tried."""
    answers = send(
        site,
        part(1, "POST", "Account", {"Name": "A"}),
        part(2, "PATCH", "$1", {"Phone": "5"}, dependsOn=["1"]),
        part(3, "POST", "Account", {"Nope": 1}),
        part(4, "POST", "Account", {"Name": "never"}, dependsOn=["3"]),
        headers=ON,
    )
    assert [a["status"] for a in answers] == [201, 204, 400, 424]
    assert [(row["Name"], row["Phone"]) for row in site.rows("Account")] == [("A", "5")]


@pytest.mark.parametrize("count", [100, 101])
def test_a_batch_has_at_most_a_hundred_requests(site: Any, count: int) -> None:
    """The hundred and first makes the whole batch a 400 and nothing is done."""
    items = [part(number, "POST", "Account", {"Name": f"A{number}"}) for number in range(count)]
    response = site.session.post(f"{site.odata}/$batch", json={"requests": items})
    assert response.status_code == (200 if count == 100 else 400)
    assert site.get("Account/$count").text == ("100" if count == 100 else "0")
    assert site.stats()["calls"].get("batch_parts", 0) == (100 if count == 100 else 0)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/json", b"{"),
        ("application/json", b"{}"),
        ("application/json", b'{"requests": [{"id": "1"}]}'),
        ("application/json", b'{"requests": 5}'),
        ("text/plain", b"{}"),
        ("multipart/mixed", b"--x"),
        ("multipart/mixed; boundary=x", b"nothing of it"),
        ("multipart/mixed; boundary=x", b"--x\r\nContent-Type: application/http\r\n\r\n\r\nno request\r\n--x--"),
    ],
)
def test_a_batch_that_cannot_be_read_is_400(site: Any, content_type: str, body: bytes) -> None:
    """Broken batches are refused as a whole."""
    response = site.session.post(f"{site.odata}/$batch", data=body, headers={"Content-Type": content_type})
    assert response.status_code == 400
    assert response.json()["error"]["message"]


def test_amounts_of_a_json_batch_stay_exact(site: Any) -> None:
    """Decimals in the body of a part are not bent by floating point."""
    (answer,) = send(site, part(1, "POST", "Account", {"Name": "A", "UsrQBBalance": 1234567890123.45}))
    assert answer["status"] == 201
    assert '"UsrQBBalance":1234567890123.45' in site.get("Account").text


MIXED = """--batch_1
Content-Type: multipart/mixed; boundary=changeset_1

--changeset_1
Content-Type: application/http
Content-Transfer-Encoding: binary
Content-ID: 1

POST Account HTTP/1.1
Content-Type: application/json;odata=verbose

{"Id": "62f9bc01-57cf-4cc7-90bf-8672acc922e3", "Name": "Smith & Söhne"}
--changeset_1
Content-Type: application/http
Content-Transfer-Encoding: binary

PATCH Account/62f9bc01-57cf-4cc7-90bf-8672acc922e3 HTTP/1.1
Content-ID: 2
Content-Type: application/json

{"Phone": "5"}
--changeset_1--
--batch_1
Content-Type: application/http
Content-Transfer-Encoding: binary

GET Account?$select=Name,Phone HTTP/1.1
Accept: application/json

--batch_1--
"""


def test_multipart_with_a_changeset_and_a_read(site: Any) -> None:
    """The answer nests the changeset, repeats each Content-ID and is read by the standard library."""
    response = multipart(site, MIXED)
    assert response.headers["Content-Type"].startswith("multipart/mixed; boundary=batchresponse_")
    created, changed, listed = unpack(response)
    assert created[:2] == ("1", 201)
    assert changed == ("2", 204, None)
    assert listed[1] == 200
    assert listed[2]["value"] == [{"Name": "Smith & Söhne", "Phone": "5"}]
    assert b"changesetresponse_" in response.content


def test_multipart_with_bare_line_feeds_and_no_end_is_read_too(site: Any) -> None:
    """Clients that are careless about line ends and closing boundaries are understood."""
    body = MIXED.replace("--batch_1--\n", "").replace("--changeset_1--\n", "").encode()
    headers = {"Content-Type": 'multipart/mixed;boundary="batch_1"; IEEE754Compatible=true'}
    response = site.session.post(f"{site.odata}/$batch", data=body, headers=headers)
    assert [status for _, status, _ in unpack(response)] == [201, 204, 200]


def test_multipart_is_answered_with_json_where_only_that_is_accepted(site: Any) -> None:
    """The Accept header decides about the format of the answer."""
    answers = multipart(site, MIXED, Accept="application/json").json()["responses"]
    assert [(a["id"], a["status"]) for a in answers] == [("1", 201), ("2", 204), ("2", 200)]


def test_a_changeset_that_fails_is_undone_and_answers_once(site: Any) -> None:
    """A failing changeset is one plain part in the answer, and the batch stops there."""
    response = multipart(site, MIXED.replace('"Phone"', '"Nope"'))
    ((content_id, status, body),) = unpack(response)
    assert (content_id, status) == ("2", 400)
    assert body["error"]["message"] == "The request is invalid."
    assert site.rows("Account") == []
    assert b"changesetresponse_" not in response.content
    going_on = multipart(site, MIXED.replace('"Phone"', '"Nope"'), Prefer="continue-on-error")
    assert [status for _, status, _ in unpack(going_on)] == [400, 200]


def test_a_batch_needs_a_session_and_a_post(site: Any) -> None:
    """A batch is a request like any other."""
    assert site.get("$batch").status_code == 405
    site.session.headers["BPMCSRF"] = "x"
    assert site.session.post(f"{site.odata}/$batch", json={"requests": []}).status_code == 403
