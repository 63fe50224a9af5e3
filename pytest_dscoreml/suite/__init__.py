"""The conformance suite that `--dscoreml-model` runs: a file per promise. Plain tests on the fixtures users have too."""
