"""The contract, generated from proto/trivium/v1 by sdks/python/generate."""
