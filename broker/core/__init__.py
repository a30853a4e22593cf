"""Pure code, without input, output, clocks, randomness or event loops. Time and randomness are arguments."""
