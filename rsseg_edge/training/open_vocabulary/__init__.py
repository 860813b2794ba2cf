"""Training of the small open-vocabulary network: regions and crops against the words for them."""
