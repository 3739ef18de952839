"""What the demo and the tests need on the machine they run on."""
