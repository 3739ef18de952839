"""Every code and message that the customers' guides name is in the catalogue. The lists are read off the guides."""

from __future__ import annotations

import pytest

from iw_operators.errors.catalogue import catalogue, classify, explain
from iw_operators.errors.entries import Effect, Entry

DESKTOP = "quickbooks_desktop"

# Guides 7.1 and course 4.2: messages of the former platform, as printed (typographic dashes and quotation marks too).
PLATFORM = {
    "ERROR XmlsqParams.statement": "XmlsqParams.statement",
    "ERROR – ProcessDataMap Error Connection Failed": "ProcessDataMap",
    "Connection timed out": "Connection timed out",
    "XmlSql.go Connection Failed": "XmlSql.go",
    "You have an error in your SQL syntax": "error in your SQL syntax",
    "ERROR – execute Transaction Connection reset": "Connection reset",
    "ERROR – execute Transaction no protocol": "no protocol",
    "ERROR IWXsltcImpl.execute No more DTM IDs are available": "No more DTM IDs",
    "Scheduled CMS Lead to SF transaction flow was not executed": "transaction flow was not executed",
}

# Guides 7.2 and course 4.3.
H_SERIES = ("H101", "H202", "H303", "H505")
SERIES_6000 = ("-6190, -83", "-6189", "-6177, 0", "-6190, -82", "-6000, -301", "-6123, 0", "-6189, -82")
SERIES_1000 = ("1335", "1328", "1327", "1334", "1321", "1311", "1303")
OVER_10000 = (
    *("15240", "15270", "15103", "15104", "15105", "15106", "15107", "99937", "80070057", "16026"),
    *("12002", "12007", "12009", "12029", "12031"),
)

# Guides 7.3 and course 4.4: QODBC's statuses; the word is one that its entry has to speak of.
STATUSES = {
    "0": "carried out", "1": "filter", "500": "not in the company file", "501": "version", "510": "cannot hand",
    "530": "edition", "531": "list", "550": "notes", "560": "later version", "570": "closed", "1000": "within itself",
    "1010": "busy", "1030": "not known", "3000": "id", "3010": "yes or no", "3020": "date", "3070": "longer",
    "3090": "name", "3100": "name", "3101": "quantity", "3120": "not in the company file", "3121": "custom field",
    "3130": "parent", "3140": "points at", "3150": "empty", "3151": "operation", "3152": "allows", "3153": "exclude",
    "3160": "delete", "3161": "closing date", "3162": "single-user", "3170": "field", "3171": "closing",
    "3175": "open in", "3176": "depends", "3177": "twice", "3180": "save", "3185": "void", "3190": "emptied",
    "3200": "since it was read", "3205": "address", "3210": "value", "3220": "right", "3231": "not carried out",
    "3240": "created", "3250": "switched off", "3260": "permission", "3261": "sensitive", "3262": "payroll",
    "3263": "read", "3270": "account", "3290": "order",
}  # fmt: skip
RANGED = (
    *("3030", "3035", "3040", "3045", "3050", "3060", "3065", "3080", "3085", "3172", "3173", "3174"),
    *("3300", "3330", "3360", "9001", "9005", "9100", "9103"),
)
SEVERITIES = {
    (0, 499): Effect.GO_ON,
    (500, 999): Effect.GO_ON,
    (1000, 1999): Effect.RETRY_LATER,
    (2000, 2999): Effect.FIX_CONFIGURATION,
    (3000, 3099): Effect.FIX_RECORD,
    (3100, 9099): Effect.FIX_RECORD,
    (9100, 9199): Effect.FIX_CONFIGURATION,
}
HRESULTS = (
    *("80040400", "80040401", "80040408", "80040403", "80040409", "8004040A", "8004040B", "80040405", "80040407"),
    *("8004040E", "80040414", "80040418", "8004041A", "8004041D", "8004041E", "80040420", "8004041F", "80040423"),
    "80040427",
)
RDS = ("80040402", "80040407", "8004040D", "80040414", "8004041A", "80040420", "80040421")

# Guides 3.3, course 4.1 and 2.3: what happens to the host, without a code; as an error text of today says it.
STATES = {
    "A modal dialog box is showing in the QuickBooks user interface.": "80040414",
    "QuickBooks is open in single-user mode": "single-user mode",
    "The company file is locked by another application": "file locked",
    "[Errno 111] Connection refused": "connector not running",
    "[Errno 113] No route to host": "network changed",
    "The company file was not found": "company file moved",
    "FATAL: login failed for user iw": "password changed",
}
CHARACTERS = "!@#$%^&*+{}[]?><"


def of(code: str, origin: str, system: str | None = None) -> Entry:
    """Return the first entry of an origin for a code."""
    found = [entry for entry in catalogue().find(code, system) if entry.origin == origin]
    assert found, f"{origin} has nothing for {code}"
    return found[0]


@pytest.mark.feature("E1")
@pytest.mark.parametrize(("message", "code"), PLATFORM.items())
def test_messages_of_the_former_platform_are_found(message: str, code: str) -> None:
    """Each message is found as printed, with plain dashes, and in the middle of a line of a log."""
    for text in (message, message.replace("–", "-"), f"2024-03-01 10:00:00 Flow_1 {message} at line 7"):
        assert next(e.code for e in explain(text, "platform")) == code
        entry = classify(text, "platform")
        assert entry is not None
        assert entry.code == code
    assert next(e.code for e in explain(message) if e.system == "platform") == code


@pytest.mark.feature("E1", "E3")
def test_the_special_characters_are_all_named_and_none_is_to_be_removed() -> None:
    """The entry for the old data error names each character, and says that they stay as they are."""
    entry = of("XmlsqParams.statement", "platform")
    assert all(character in entry.meaning for character in CHARACTERS)
    assert "as they are" in entry.action


@pytest.mark.feature("E1")
@pytest.mark.parametrize("code", [*H_SERIES, *SERIES_6000, *SERIES_1000, *OVER_10000, "C=342"])
def test_codes_of_quickbooks_itself_are_listed(code: str) -> None:
    """Each number of the H, 6000, 1000 and over-10,000 series and C=342 has an entry, and tells of the series."""
    entry = explain(code)[0]
    assert entry.origin == "quickbooks_desktop"
    assert entry.width <= 5
    assert entry in explain(code, DESKTOP)


@pytest.mark.feature("E1")
@pytest.mark.parametrize("code", ["H111", "H999", "-6073, -816", "-6144, -82", "1402", "17337", "C=47"])
def test_codes_of_the_same_series_that_are_not_listed_are_answered_by_the_series(code: str) -> None:
    """A number that no guide names gets what its series says."""
    entry = of(code, "quickbooks_desktop")
    assert entry.is_range
    assert entry.effect is not Effect.GO_ON


@pytest.mark.feature("E1")
def test_damaged_data_stop_the_flow_and_installations_do_not_blame_a_record() -> None:
    """C=342 stops the flow; series about host, file and installation are nobody's record's fault."""
    assert of("C=342", "quickbooks_desktop").effect is Effect.STOP_FLOW
    for code in (*H_SERIES, *SERIES_6000, *SERIES_1000, *OVER_10000):
        assert of(code, "quickbooks_desktop").effect in (Effect.CONNECTION_FAILURE, Effect.FIX_CONFIGURATION)


@pytest.mark.feature("E1")
@pytest.mark.parametrize(("code", "word"), STATUSES.items())
def test_each_status_of_qodbc_has_an_entry_of_its_own(code: str, word: str) -> None:
    """Each code that the guides name is listed by itself and speaks of its own matter."""
    entry = of(code, "qodbc")
    assert not entry.is_range
    assert word in f"{entry.title} {entry.meaning}"
    assert explain(f"[QODBC] Error: {code} - Some text.") == [entry]


@pytest.mark.feature("E1")
@pytest.mark.parametrize("code", RANGED)
def test_statuses_that_the_guides_name_by_range_are_answered(code: str) -> None:
    """A code inside of 3010-3090, 3170-3177, 3300-3360, 9001-9005 or 9100-9103 gets that range or its own entry."""
    assert of(code, "qodbc").width <= 81


@pytest.mark.feature("E1")
@pytest.mark.parametrize(("bounds", "effect"), SEVERITIES.items())
def test_the_ranges_of_severity_answer_for_codes_that_are_not_listed(bounds: tuple[int, int], effect: Effect) -> None:
    """The seven ranges of severity are there with their ends, and each has its effect."""
    low, high = bounds
    for code in (low, high, (low + high) // 2 + 3):
        (entry,) = [
            e for e in catalogue().find(str(code), DESKTOP) if e.code == f"{low}..{high}" and e.origin == "qodbc"
        ]
        assert entry.effect is effect
    assert f"{low}..{high}" not in [e.code for e in catalogue().find(str(high + 1), DESKTOP)]


@pytest.mark.feature("E1")
@pytest.mark.parametrize("code", HRESULTS)
def test_each_800404xx_is_found_in_every_spelling(code: str) -> None:
    """Each number of the XML interface is listed, and found with 0x, in small letters and in a message."""
    entry = of(code, "quickbooks_sdk")
    assert not entry.is_range
    assert of(f"0x{code}", "quickbooks_sdk") == of(code.lower(), "quickbooks_sdk") == entry
    assert classify(f"Error 0x{code}: Could not access QuickBooks.", DESKTOP) == entry
    assert classify(f"[QODBC] Error: {code} - Could not access QuickBooks.", DESKTOP) is not None


@pytest.mark.feature("E1")
def test_an_800404xx_that_is_not_listed_is_answered() -> None:
    """The series as a whole answers for the others."""
    assert of("80040499", "quickbooks_sdk").is_range


@pytest.mark.feature("E1")
@pytest.mark.parametrize("code", RDS)
def test_each_number_of_remote_data_sharing_has_its_own_meaning(code: str) -> None:
    """A text that speaks of RDS gets the RDS meaning; the bare number gets both."""
    entry = of(code, "rds")
    assert classify(f"RDS Client: request failed, {code}", DESKTOP) == entry
    assert classify(f"Remote Data Sharing server said {code.lower()}", DESKTOP) == entry
    assert entry in explain(code)


@pytest.mark.feature("E1")
@pytest.mark.parametrize(("text", "code"), STATES.items())
def test_states_of_the_host_are_recognised_by_their_texts(text: str, code: str) -> None:
    """Pop-ups, single-user mode, a stopped connector, a changed network and so on are told apart by text."""
    entry = classify(text, DESKTOP)
    assert entry is not None
    assert entry.code == code


@pytest.mark.feature("E1")
def test_the_checklists_status_and_the_guides_names_are_found_by_their_words() -> None:
    """`Status 3100 errors`, and the names that the course uses without a number, lead to the right entries."""
    assert [e.code for e in explain('Look for any "Status 3100" errors')] == ["3100"]
    for words, code in {
        "Name is not unique": "3100",
        "Object not found": "3120",
        "Missing required element": "3150",
        "Outdated edit sequence": "3200",
        "Insufficient permissions": "3260",
    }.items():
        assert code in [e.code for e in explain(words, DESKTOP)]
