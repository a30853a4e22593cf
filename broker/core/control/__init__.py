"""How much is let through: limits, rates, breakers, retries, admission. Pure; time is an argument."""
