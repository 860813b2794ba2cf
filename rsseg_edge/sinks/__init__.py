"""Where results go: one class a file, open / write / close."""
