"""What trials say about places that were not run: three boundaries as Gaussian processes of right-censored times."""
