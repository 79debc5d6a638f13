"""What is in `deploy/`, `compose.yaml` and the Dockerfile agrees with itself and with the code."""
