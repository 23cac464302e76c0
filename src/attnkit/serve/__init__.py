"""Serve: trained models behind an HTTP interface and a page, with requests answered in batches."""
