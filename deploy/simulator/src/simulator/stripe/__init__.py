"""Stripe AU: customers, PaymentIntents, charges and invoices, and the events that tell of them."""
