"""A killer with a seed against running studies, and what must hold when the dust has settled."""
