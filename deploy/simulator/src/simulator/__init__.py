"""Stand-ins for Stripe AU and GoCardless AU.

Stateful, really signed, with a fault dial. It knows the providers' own formats and nothing of the product: no table, no
topic, no class of it.
"""
