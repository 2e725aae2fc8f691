"""The executor: trains and tests the clients it is leased, and swaps weights with its peers."""
