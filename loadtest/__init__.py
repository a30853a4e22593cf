"""Load tests with Locust: `python -m loadtest`, or `locust -f loadtest/locustfile.py`. See docs/loadtest.md.

outcome      what a request came to: answers counted, faults named
truth        which answers are right: the mocks' population, a recorded baseline, or nothing
people       whom the courts ask about
court        sends one request and reads its stream
statistics   what Locust reports: first and last report, answers by institution and outcome
thresholds   whether a run has passed
locustfile   the users
"""
