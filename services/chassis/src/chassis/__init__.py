"""Mechanisms that every service shares. No business noun lives here."""
