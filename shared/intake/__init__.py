"""How a message becomes a chat log, whichever entrance it takes: HTTP or straight from Redis."""
