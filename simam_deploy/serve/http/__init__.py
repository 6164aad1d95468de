"""KServe V2 over HTTP, and the page."""
