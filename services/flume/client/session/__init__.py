"""What steers: the control connection, the delivery windows and what brings a lost session back."""
