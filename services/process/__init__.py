"""What every service process needs: gRPC channels and servers, the launcher's contract, signals and logs."""
