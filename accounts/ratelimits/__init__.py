"""How much a workspace and a key may ask for: requests and tokens a minute, and streams at once."""
