"""The server: ingest, twins, stores, API and page."""
