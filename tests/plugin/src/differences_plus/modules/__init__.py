"""What needs torch, imported when it is used."""
