"""What must never be in a log above DEBUG."""

from __future__ import annotations

import functools
import re

from sandbox.creatio import Options as CreatioOptions
from sandbox.quickbooks_online import Options as QuickBooksOptions
from sandbox.seed import acme

SHORTEST = 8  # of a name that no log has by chance


@functools.cache
def _customer_data() -> re.Pattern[str]:
    world = acme.build()
    texts = {account.name for account in world.accounts} | {product.name for product in world.products}
    texts |= {contact.email for contact in world.contacts} | {account.phone for account in world.accounts}
    secrets = {CreatioOptions().password, QuickBooksOptions().client_secret, QuickBooksOptions().refresh_token}
    return re.compile("|".join(re.escape(text) for text in sorted(texts | secrets) if len(text) >= SHORTEST))


def assert_no_customer_data(text: str) -> None:
    """Fail when a log has a name, an address or a number of the acme world, or a secret."""
    found = _customer_data().search(text)
    assert found is None, f"{found.group() if found else ''}: {text[max(0, found.start() - 300) : found.end() + 100]}"
