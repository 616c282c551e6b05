"""What calibration data says about the values of a module."""
