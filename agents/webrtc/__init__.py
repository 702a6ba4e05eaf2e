"""An agent in a browser. `app` is its web application, `__main__` starts it."""
