"""What a user's words become before a text encoder reads them."""
