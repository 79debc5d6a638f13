"""What the sweeper sees of both servers and tells in numbers: it looks, and changes nothing."""
