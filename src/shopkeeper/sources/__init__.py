"""Places rows come from, and the shape every one of them gives."""
