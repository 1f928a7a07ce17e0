"""Images with captions, and the pairs drawn from them."""
