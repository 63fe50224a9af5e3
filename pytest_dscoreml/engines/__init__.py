"""What runs a model: one protocol, an engine per way of running. Imports `conversion`, `runtime`, `speech`, `model`."""
