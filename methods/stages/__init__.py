"""What some methods do with the training samples before they train: choose weights, or search for a subnet."""
