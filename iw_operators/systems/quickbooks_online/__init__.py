"""QuickBooks Online over its REST API."""
