"""What the user sees: each module renders the same results. Imports everything below, nothing imports it but the session."""
