"""A model's folder in Hugging Face's layout, and the official weights."""
