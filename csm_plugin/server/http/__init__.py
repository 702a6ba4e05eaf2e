"""OpenAI's routes and ours, a file a route, and the formats that they answer in."""
