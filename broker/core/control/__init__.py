"""Control algorithms, pure: concurrency limits, rate limits, circuit breakers, retries, admission."""
