"""How good an embedding is: figures, pictures, and one page that shows them."""
