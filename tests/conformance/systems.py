"""The systems that take part. A new one adds its line here and its folder beside this file."""

SYSTEMS = (
    "creatio",
    "quickbooks_desktop",
    "quickbooks_online",
)
