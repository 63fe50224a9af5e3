"""The report as one HTML page that needs nothing else: charts, template, and what fills it."""
