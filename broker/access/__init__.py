"""Who may ask: pure decisions of identity, policy and request. Files, sockets and clocks come from elsewhere."""
