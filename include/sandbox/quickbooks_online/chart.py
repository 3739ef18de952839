"""What each company starts with: chart of accounts, payment methods, taxes."""

from __future__ import annotations

from decimal import Decimal

# Name, AccountType, AccountSubType, opening balance
ACCOUNTS: tuple[tuple[str, str, str, str], ...] = (
    ("Checking", "Bank", "Checking", "25000.00"),
    ("Savings", "Bank", "Savings", "8000.00"),
    ("Accounts Receivable (A/R)", "Accounts Receivable", "AccountsReceivable", "0"),
    ("Undeposited Funds", "Other Current Asset", "UndepositedFunds", "0"),
    ("Inventory Asset", "Other Current Asset", "Inventory", "0"),
    ("Prepaid Expenses", "Other Current Asset", "PrepaidExpenses", "0"),
    ("Furniture and Fixtures", "Fixed Asset", "FurnitureAndFixtures", "4200.00"),
    ("Security Deposits", "Other Asset", "SecurityDeposits", "1500.00"),
    ("Accounts Payable (A/P)", "Accounts Payable", "AccountsPayable", "0"),
    ("Mastercard", "Credit Card", "CreditCard", "0"),
    ("Sales Tax Payable", "Other Current Liability", "SalesTaxPayable", "0"),
    ("Notes Payable", "Long Term Liability", "OtherLongTermLiabilities", "0"),
    ("Opening Balance Equity", "Equity", "OpeningBalanceEquity", "38700.00"),
    ("Retained Earnings", "Equity", "RetainedEarnings", "0"),
    ("Services", "Income", "ServiceFeeIncome", "0"),
    ("Sales of Product Income", "Income", "SalesOfProductIncome", "0"),
    ("Discounts given", "Income", "DiscountsRefundsGiven", "0"),
    ("Interest Earned", "Other Income", "InterestEarned", "0"),
    ("Cost of Goods Sold", "Cost of Goods Sold", "SuppliesMaterialsCogs", "0"),
    ("Advertising", "Expense", "AdvertisingPromotional", "0"),
    ("Office Expenses", "Expense", "OfficeGeneralAdministrativeExpenses", "0"),
    ("Travel", "Expense", "Travel", "0"),
    ("Commissions & fees", "Expense", "OtherMiscellaneousServiceCost", "0"),
    ("Exchange Gain or Loss", "Other Expense", "ExchangeGainOrLoss", "0"),
)
PAYMENT_METHODS: tuple[tuple[str, str], ...] = (
    ("Cash", "NON_CREDIT_CARD"),
    ("Check", "NON_CREDIT_CARD"),
    ("Visa", "CREDIT_CARD"),
    ("MasterCard", "CREDIT_CARD"),
    ("American Express", "CREDIT_CARD"),
    ("Bank Transfer", "NON_CREDIT_CARD"),
)
AGENCY = "Board of Equalization"
TAXES: tuple[tuple[str, Decimal], ...] = (("California", Decimal(8)), ("Tucson", Decimal("9.1")))
DEFAULT_TERM = "Net 30"
