"""The dashboards of `deploy/grafana`, drawn from a real run without Grafana.

A real Prometheus reads a real instance under a mixed load with failures, and is asked exactly what
the panels ask, so a panel that shows nothing is seen. The picture is ours, not Grafana's.
"""
