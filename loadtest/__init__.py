"""Load tests with Locust: `python -m loadtest`, or `locust -f loadtest/locustfile.py` against a broker of your own."""
