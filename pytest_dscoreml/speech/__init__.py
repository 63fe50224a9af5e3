"""Speech in, text out: WAV files, features, CTC decoding. Imports `model` and `errors`; no engine, no conversion."""
