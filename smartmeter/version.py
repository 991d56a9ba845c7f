"""The version of SmartMeter, in one place."""

VERSION = "0.1.0"
