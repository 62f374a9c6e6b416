"""How the package talks with Helios: the wire's records, its protocol, and the client.

Importing this package loads no HTTP library; only ``helios_research.api.client`` does.
"""
