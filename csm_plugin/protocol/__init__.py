"""What server and client say to each other: messages, the wire, and errors. No sockets, no engine."""
