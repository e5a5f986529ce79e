"""A million bad inputs over everything that reads what others wrote."""
