"""Intuit's error codes: what each means, who does what, and which of our classes it is.

Codes and meanings are from Intuit's list of error codes (developer.intuit.com, "Error codes") and from recorded
answers; the actions are ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from iw_operators.errors import (
    Advice,
    FixConfiguration,
    FixRecord,
    InterWeaveError,
    RetryLater,
    SignInAgain,
    StaleRecord,
    Throttled,
)

REAUTHORISE: Final = (
    "Authorise the app for this company again (Intuit's OAuth 2.0 playground or your own app's connect page) and put "
    "the new refresh token into the Airflow connection; it is taken at the next run."
)

_RECORD = (
    Advice(
        "6240",
        "Customers, vendors and employees share one list of names, and this name is taken.",
        "Rename one of the two, or bind the record to the one that has the name (it may be inactive or a vendor).",
    ),
    Advice(
        "6140",
        "This document number is taken.",
        "Give another number, or leave numbering to QuickBooks Online.",
    ),
    Advice(
        "610",
        "The record, or one that it refers to, was deleted or made inactive.",
        "Make it active again in QuickBooks Online, or unbind the record so that a new one is made.",
    ),
    Advice(
        "6000",
        "A business rule of QuickBooks Online is not met.",
        "Correct in the source what the message names; QuickBooks Online's own form shows the same rule.",
    ),
    Advice("6070", "An amount does not equal quantity times price.", "Correct the line in the source."),
    Advice(
        "6210",
        "The date lies in a closed accounting period.",
        "Ask the accountant to open the period, or change the date.",
    ),
    Advice(
        "6540",
        "The transaction is part of a bank deposit.",
        "Remove it from that deposit in QuickBooks Online before it is changed.",
    ),
    Advice("2020", "A required field is missing.", "Fill it in the source, or map it with a default."),
    Advice("2030", "An id is not valid.", "Unbind the record, or correct the id that the mapping sends."),
    Advice("2040", "A field has characters that are not allowed.", "Remove colon, tab and line breaks from the field."),
    Advice("2050", "A text is too long.", "Shorten it in the source, or allow `shorten` in the mapping."),
    Advice("2060", "A date cannot be read.", "Correct the date in the source."),
    Advice("2080", "A number cannot be read.", "Correct the number in the source."),
    Advice("2170", "A value is none of those allowed.", "Translate it with `values` in the mapping."),
    Advice("2210", "An e-mail address is not one.", "Correct it in the source; it needs an @ and a point."),
    Advice(
        "2500",
        "A record that is referred to does not exist or is inactive.",
        "Make it active in QuickBooks Online, or synchronise it first.",
    ),
)

_CONFIGURATION = (
    Advice("1040", "A batch has too many items.", "Report it: batches are made of 30 at the most."),
    Advice("2010", "QuickBooks Online does not know a field that was sent.", "Correct its name in the mapping."),
    Advice(
        "120",
        "The user who authorised the app may not do this.",
        "Authorise again as a company administrator, or give that user the right in QuickBooks Online.",
    ),
    Advice(
        "3100",
        "The app is not authorised for this company.",
        f"Check the company id (realm) of the connection. {REAUTHORISE}",
    ),
    Advice("3000", "A custom field is not defined.", "Make it under Account and settings, Sales, Custom fields."),
    Advice("500", "QuickBooks Online does not have this operation.", "Check the entity's name and the base URL."),
    Advice("4000", "The query cannot be read.", "Correct the entity and field names in the mapping or query."),
    Advice("4001", "The query is not valid.", "Correct the entity and field names in the mapping or query."),
    Advice(
        "6190",
        "The company's subscription has ended, or its data may not be changed.",
        "Sign in to QuickBooks Online and renew the subscription.",
    ),
)

KNOWN: Final[Mapping[str, tuple[type[InterWeaveError], Advice]]] = {
    **{advice.code: (FixRecord, advice) for advice in _RECORD},
    **{advice.code: (FixConfiguration, advice) for advice in _CONFIGURATION},
    "5010": (StaleRecord, Advice("5010", "Somebody changed the record since it was read.", "It is planned again.")),
    "3200": (SignInAgain, Advice("3200", "The access token is not valid.", REAUTHORISE)),
    "3001": (Throttled, Advice("3001", "Too many requests.", "It goes on after the time that Intuit asks for.")),
    "10000": (RetryLater, Advice("10000", "An application error at Intuit.", "It is tried again.")),
}
