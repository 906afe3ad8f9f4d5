"""The service's only client that opens user-supplied URLs.

fetcher         sends requests, follows redirects and writes the body to a file, all within limits
url_parser      the only parser: what it returns is what is checked and what is connected to
public_network  which addresses may be connected to, and a connector that enforces it
exceptions      what can go wrong, in words for the client
"""
