"""``ave <noun> <verb>``: a client of the API, derived from the catalogue."""
