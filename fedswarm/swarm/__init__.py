"""How weights travel: manifests, chunks, who asks whom for what. Sans-IO; the gRPC shell is ``services.peer``."""
