"""The load test's Locust file.

    locust -f loadtest/locustfile.py --host 127.0.0.1:50051

`locust -f loadtest/locustfile.py --help` lists the load test's own options at its end.
"""

from loadtest.users import CourtUser

__all__ = ["CourtUser"]
