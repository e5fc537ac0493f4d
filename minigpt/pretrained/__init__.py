"""Model folders in Hugging Face's layout, and the official weights."""
