"""The suite that `--dscoreml-replay` runs: the gate's promises that can be held to a bundle, a file for each."""
