"""Pure decisions: no input or output, no clock, no event loop. Time and randomness are arguments."""
