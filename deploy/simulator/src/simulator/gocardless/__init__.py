"""GoCardless AU: customers, BECS mandates, payments and payouts, and the events that tell of them."""
