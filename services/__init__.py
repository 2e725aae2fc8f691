"""The three processes of a cluster and what they share: wiring, gRPC, clocks and signals. No algorithm lives here."""
