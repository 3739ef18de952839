"""The names in the acme world: plain ones, and those that make trouble in real data."""

from __future__ import annotations

from sandbox.seed.world import Address

PUNCTUATION = "! @ # $ % ^ & * + { } [ ] ? > < ' \""

FIRST_WORDS = (
    "Alder", "Beacon", "Cobalt", "Dover", "Ember", "Fairview", "Garnet", "Harbor", "Iron Gate", "Juniper", "Keystone",
    "Lakeside", "Maple", "Northwind", "Orchard", "Pinewood", "Quarry", "Redwood", "Summit", "Timber",
)  # fmt: skip
SECOND_WORDS = ("Supply", "Logistics", "Foods", "Dental", "Builders", "Media", "Optics", "Textiles", "Travel")
LEGAL_FORMS = ("Inc.", "LLC", "Corp.", "Ltd", "", "Co.")

# Each of these is a won customer that the books do not have yet.
TROUBLED = (
    "Smith & Sons",
    'O\'Brien "Best" Bakery',
    "Bäckerei Müller GmbH",
    "東京テクノロジー株式会社",
    "مؤسسة النور للتجارة",
    "בית קפה תל אביב",
    "Sunny Days 🌞 Daycare",
    "Family 👨‍👩‍👧 Clinic",
    f"Signs {PUNCTUATION}",
    "Region: North",
    "Parent Co:Branch Office",
    "The Very Long Established Company of Merchants and Traders",
    "Consolidated International Holdings for Agricultural Machinery, Spare Parts and Related Services of the Midwest "
    "and the Great Lakes",
    "Society for the Advancement, Preservation and Public Understanding of Mechanical Clocks, Watches and Other "
    "Instruments for the Measurement of Time (Founded 1823), Eastern Branch",
    "Twin Rivers Marina",
    "Twin Rivers Marina",
    "Tab\tand  spaces",
    "50% Off [Outlet] {Store}",
    "C# & C++ Training <online>",
    "Ångström Labs",
    "ΑΒΓ Ναυτιλιακή",
    "Łódź Meble",
    "Café “Très Bon”",
    "#1 Plumbing*",
    "null",
)

# The same company twice in the CRM, once in the books.
LOOK_ALIKES = ("Acme Inc", "ACME, Inc.")

GIVEN_NAMES = (
    "Ana", "Bruno", "Chloé", "D'Andre", "Eva-Marie", "Feng", "Grace", "Hiroshi", "Ines", "José", "Kateryna", "Liam",
    "محمد", "Noor", "Oluwaseun", "Paula", "Quinn", "Rosa", "Søren", "Tomás",
)  # fmt: skip
SURNAMES = (
    "Abbott", "Brown", "Castillo", "Dubois", "Eriksen", "Fischer", "García", "Hughes", "Ivanova", "Jensen", "Kowalski",
    "Lee", "McDonald", "Nguyen", "O'Neill", "Park", "Quist", "Rossi", "Smith-Jones", "Zhang",
)  # fmt: skip
JOB_TITLES = ("Owner", "Bookkeeper", "Purchasing", "Office manager", "")

US_PLACES = (
    Address("", "New York", "New York", "10001", "United States"),
    Address("", "Buffalo", "New York", "14201", "United States"),
    Address("", "Chicago", "Illinois", "60601", "United States"),
    Address("", "Springfield", "Illinois", "62701", "United States"),
    Address("", "Springfield", "Massachusetts", "01103", "United States"),
    Address("", "Austin", "Texas", "78701", "United States"),
    Address("", "Portland", "Oregon", "97201", "United States"),
    Address("", "Coeur d'Alene", "Idaho", "83814", "United States"),
)
EU_PLACES = (
    Address("", "Berlin", "Berlin", "10115", "Germany"),
    Address("", "Lyon", "Auvergne-Rhône-Alpes", "69001", "France"),
    Address("", "Kraków", "Małopolska", "30-001", "Poland"),
)
STREETS = ("Main St", "Oak Ave, Suite 4 & 5", "Rue de l'Église", "Broadway\n2nd floor", 'Pier "B"', "")
SALES_REGIONS = ("North", "South", "East", "West", "EMEA")

# (name, kind): the first eighteen are known to the books by id, the next twelve by their name alone.
PRODUCTS = (
    ("Consulting hour", "Service"),
    ("Installation", "Service"),
    ("Training day", "Service"),
    ("Support plan Basic", "Service"),
    ("Support plan Plus", "Service"),
    ("Site survey", "Service"),
    ("Delivery & handling", "Service"),
    ("Router R-100", "Inventory"),
    ("Router R-200", "Inventory"),
    ("Switch 24-port", "Inventory"),
    ("Cable 5 m (blue)", "NonInventory"),
    ("Cable 10 m (blue)", "NonInventory"),
    ('Monitor 27"', "Inventory"),
    ("Keyboard, US layout", "NonInventory"),
    ("Mouse", "NonInventory"),
    ("Rack 19'' 12U", "Inventory"),
    ("UPS 1500 VA", "Inventory"),
    ("Patch panel", "NonInventory"),
    ("Licence, annual", "Service"),
    ("Licence, monthly", "Service"),
    ("Data migration", "Service"),
    ("Webcam HD", "NonInventory"),
    ("Headset", "NonInventory"),
    ("Docking station", "NonInventory"),
    ("Laptop 14", "NonInventory"),
    ("Laptop 16", "NonInventory"),
    ("Printer A4", "NonInventory"),
    ("Toner black", "NonInventory"),
    ("Toner colour", "NonInventory"),
    ("Paper A4, 500 sheets", "NonInventory"),
    ("Café machine ☕", "NonInventory"),
    (f"Symbols {PUNCTUATION}", "Service"),
    ("שעת ייעוץ", "Service"),
    ("保守契約（年間）", "Service"),
    ("Kit: starter", "NonInventory"),
    (
        "Extended on-site warranty for all networking equipment, next business day, parts and labour included, five "
        "years, renewable",
        "Service",
    ),
    ("Gift card", "NonInventory"),
    ("Gift card", "NonInventory"),
    ("Bracket", "NonInventory"),
    ("bracket", "NonInventory"),
)
