"""What the user hands in: graphs, checkpoints, the demo; their geometry, metadata and alphabet. Imports `errors` only."""
