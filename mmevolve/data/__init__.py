"""Datasets: functions that give a list of samples."""
